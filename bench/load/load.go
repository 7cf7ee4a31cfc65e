package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"nodegate.dev/bench/internal/control"
)

// plan is what the orchestrator wants this process to be: so many clients of one kind.
type plan struct {
	Address       string         `json:"address"`
	Variant       variant        `json:"variant"`
	Streams       int            `json:"streams"`
	Connections   int            `json:"connections"`
	Subscriptions []subscription `json:"subscriptions"`
	KeepVersions  bool           `json:"keep_versions"` // for a later reconnect with initial_resource_versions
	Prefix        string         `json:"prefix"`        // of the node names
	Timeout       float64        `json:"timeout_s"`
	Await         bool           `json:"await"` // the server may not serve yet: try again at once until it does
}

func (p *plan) nodeName(number int) string {
	return fmt.Sprintf("%s%05d", p.Prefix, number)
}

func (p *plan) position(typeURL []byte) int {
	for i := range p.Subscriptions {
		if p.Subscriptions[i].TypeURL == string(typeURL) {
			return i
		}
	}
	return -1
}

// load is all clients of this process.
type load struct {
	plan        plan
	connections []*grpc.ClientConn
	clients     []*client
	wake        chan struct{}
}

// report is what arrived at the clients' sockets since the last arming. Times are monotonic nanoseconds.
type report struct {
	StartNS    int64   `json:"start_ns"`
	Responses  int     `json:"responses"`
	Resources  int     `json:"resources"`
	Removed    int     `json:"removed"`
	Bytes      int     `json:"bytes"`
	Incomplete int     `json:"incomplete"` // clients that still wait for something
	Silent     int     `json:"silent"`     // clients that got nothing at all
	ArrivalsNS []int64 `json:"arrivals_ns"`
	Failure    string  `json:"failure,omitempty"`
}

const largestMessage = 256 << 20

func (l *load) dial() error {
	l.connections = make([]*grpc.ClientConn, l.plan.Connections)
	for i := range l.connections {
		connection, err := grpc.NewClient(
			l.plan.Address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)),
			grpc.WithNoProxy(),
			grpc.WithStaticConnWindowSize(64<<20), // the client's window never holds a server back
			grpc.WithStaticStreamWindowSize(64<<20),
			grpc.WithSharedWriteBuffer(true),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(l.plan.Await)),
			grpc.WithConnectParams(l.patience()),
		)
		if err != nil {
			return err
		}
		l.connections[i] = connection
	}
	return nil
}

// patience is gRPC's own, but where a server is awaited it is seen within milliseconds that it listens.
func (l *load) patience() grpc.ConnectParams {
	policy := backoff.DefaultConfig
	if l.plan.Await {
		policy = backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}
	}
	return grpc.ConnectParams{Backoff: policy, MinConnectTimeout: 20 * time.Second}
}

func (l *load) hangUp() {
	for _, client := range l.clients {
		client.disconnect()
	}
	for _, connection := range l.connections {
		_ = connection.Close() // it is being thrown away
	}
}

// connectAll opens every client's stream at once.
func (l *load) connectAll(resume bool) error {
	failures := make([]error, len(l.clients))
	var all sync.WaitGroup
	for i, client := range l.clients {
		all.Add(1)
		go func() {
			defer all.Done()
			failures[i] = client.connect(l.connections[i%len(l.connections)], resume)
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}

// open connects all clients and waits until each has its initial state.
func (l *load) open(arguments json.RawMessage) (any, error) {
	if err := json.Unmarshal(arguments, &l.plan); err != nil {
		return nil, err
	}
	l.wake = make(chan struct{}, 1)
	l.clients = make([]*client, l.plan.Streams)
	for i := range l.clients {
		l.clients[i] = &client{
			number: i, plan: &l.plan, wake: l.wake, have: make([]progress, len(l.plan.Subscriptions)),
		}
	}
	start := control.Now()
	if err := l.dial(); err != nil {
		return nil, err
	}
	if err := l.connectAll(false); err != nil {
		return nil, err
	}
	l.wait()
	return l.report(start), nil
}

// arm makes all clients wait for a change: {"type_url": ..., "resources": N}.
func (l *load) arm(arguments json.RawMessage) (any, error) {
	var change struct {
		TypeURL   string `json:"type_url"`
		Resources int    `json:"resources"`
	}
	if err := json.Unmarshal(arguments, &change); err != nil {
		return nil, err
	}
	position := l.plan.position([]byte(change.TypeURL))
	if position < 0 {
		return nil, fmt.Errorf("no client subscribed to %s", change.TypeURL)
	}
	for _, client := range l.clients {
		client.arm(position, change.Resources)
	}
	return struct{}{}, nil
}

// arrivals waits until every client has what it was armed for.
func (l *load) arrivals(json.RawMessage) (any, error) {
	start := control.Now()
	l.wait()
	return l.report(start), nil
}

// reconnect drops all streams and connections and comes back at once, naming the versions it has (xds-protocol 37).
// It waits until no response has come for quiet_s.
func (l *load) reconnect(arguments json.RawMessage) (any, error) {
	var how struct {
		Quiet float64 `json:"quiet_s"`
	}
	if err := json.Unmarshal(arguments, &how); err != nil {
		return nil, err
	}
	l.hangUp()
	for _, client := range l.clients {
		client.arm(0, 0)
	}
	if err := l.dial(); err != nil {
		return nil, err
	}
	start := control.Now()
	if err := l.connectAll(true); err != nil {
		return nil, err
	}
	l.settle(time.Duration(how.Quiet * float64(time.Second)))
	return l.report(start), nil
}

// settle returns when nothing has arrived at any client for a while.
func (l *load) settle(quiet time.Duration) {
	deadline := time.Now().Add(l.timeout())
	last := control.Now()
	for time.Now().Before(deadline) && time.Duration(control.Now()-last) < quiet {
		time.Sleep(10 * time.Millisecond)
		for _, client := range l.clients {
			client.mu.Lock()
			last = max(last, client.lastAt)
			client.mu.Unlock()
		}
	}
}

func (l *load) timeout() time.Duration {
	return time.Duration(l.plan.Timeout * float64(time.Second))
}

// wait returns when every client is done, or at the timeout.
func (l *load) wait() {
	deadline := time.After(l.timeout())
	waiting := l.clients
	for {
		for len(waiting) > 0 && waiting[0].done() {
			waiting = waiting[1:]
		}
		if len(waiting) == 0 {
			return
		}
		select {
		case <-l.wake:
		case <-deadline:
			return
		}
	}
}

func (l *load) report(start int64) report {
	out := report{StartNS: start, ArrivalsNS: make([]int64, 0, len(l.clients))}
	for _, client := range l.clients {
		done := client.done()
		client.mu.Lock()
		out.Responses += client.responses
		out.Resources += client.resources
		out.Removed += client.removed
		out.Bytes += client.bytes
		if !done {
			out.Incomplete++
		}
		if client.failure != nil {
			out.Failure = client.failure.Error()
		}
		if at := client.arrivedAt(); at != 0 {
			out.ArrivalsNS = append(out.ArrivalsNS, at)
		}
		if client.lastAt == 0 {
			out.Silent++
		}
		client.mu.Unlock()
	}
	return out
}
