package main

import (
	"context"
	"io"
	"sync"
	"time"
	"unique"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// subscription is what a stream wants of one type. Streams share it.
type subscription struct {
	TypeURL string     `json:"type_url"`
	Names   [][]string `json:"names"`  // per stream, round robin; none at all is a wildcard
	Expect  int        `json:"expect"` // resources that complete the initial state of a stream
}

func (s *subscription) namesOf(stream int) []string {
	if len(s.Names) == 0 {
		return nil
	}
	return s.Names[stream%len(s.Names)]
}

// progress is what one stream has of one type.
type progress struct {
	resources int // since it was last armed
	wanted    int // 0: nothing is waited for
	doneAt    int64
	versions  map[unique.Handle[string]]unique.Handle[string]
}

// client is one Envoy's stream: it subscribes to one type after the other, acknowledges, and notes when things arrive.
type client struct {
	number  int
	plan    *plan
	stream  grpc.ClientStream
	opening context.CancelFunc

	mu        sync.Mutex
	have      []progress // by position in plan.Subscriptions
	opened    int        // subscriptions asked for
	responses int
	resources int
	removed   int
	bytes     int
	firstAt   int64
	lastAt    int64
	failure   error
	wake      chan<- struct{} // told whenever something that is waited for is done
}

// connect opens the stream and asks for the first subscription; with versions, for all, naming what it has.
func (c *client) connect(connection *grpc.ClientConn, resume bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	description := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := connection.NewStream(ctx, description, c.plan.Variant.method(), grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		cancel()
		return err
	}
	c.stream, c.opening = stream, cancel
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = 0
	for {
		if err := c.openNext(resume); err == io.EOF {
			break // the server has ended the stream; receiving tells why
		} else if err != nil {
			return err
		}
		if !resume || c.opened == len(c.plan.Subscriptions) {
			break
		}
	}
	go c.receive(connection, stream)
	return nil
}

func (c *client) openNext(resume bool) error {
	position := c.opened
	wanted := &c.plan.Subscriptions[position]
	var id []byte
	if position == 0 {
		id = node(c.plan.nodeName(c.number))
	}
	var versions map[string]string
	if resume {
		versions = plain(c.have[position].versions)
	} else {
		c.have[position] = progress{wanted: wanted.Expect}
		if c.plan.KeepVersions {
			c.have[position].versions = map[unique.Handle[string]]unique.Handle[string]{}
		}
	}
	c.opened++
	return c.stream.SendMsg(c.plan.Variant.subscribe(id, wanted.TypeURL, wanted.namesOf(c.number), versions))
}

func plain(versions map[unique.Handle[string]]unique.Handle[string]) map[string]string {
	out := make(map[string]string, len(versions))
	for name, version := range versions {
		out[name.Value()] = version.Value()
	}
	return out
}

const refusedPause = 10 * time.Millisecond

// isTooEarly says whether the server listens but has nothing to send yet.
func (c *client) isTooEarly(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.responses == 0 && status.Code(err) == codes.Unavailable
}

func (c *client) receive(connection *grpc.ClientConn, stream grpc.ClientStream) {
	for {
		var message arrival
		err := stream.RecvMsg(&message)
		if err == nil {
			err = c.take(message)
			message.message.Free()
		} else if c.plan.Await && c.isTooEarly(err) {
			time.Sleep(refusedPause)
			err = c.connect(connection, false)
			if err == nil {
				return // the new stream has a receiver of its own
			}
		}
		if err != nil {
			c.fail(stream, err)
			return
		}
	}
}

func (c *client) fail(stream grpc.ClientStream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stream == c.stream && c.failure == nil {
		c.failure = err
		c.tell()
	}
}

func (c *client) take(message arrival) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var visit func([]byte)
	names := map[string]string{}
	if c.plan.KeepVersions && c.plan.Variant == delta {
		visit = func(resource []byte) {
			name, version := nameAndVersion(resource)
			names[string(name)] = string(version)
		}
	}
	raw := message.message.ReadOnlyData()
	got, err := parse(raw, visit)
	if err != nil {
		return err
	}
	c.count(message.at, len(raw), got)
	position := c.plan.position(got.typeURL)
	if position < 0 || position >= c.opened {
		return c.stream.SendMsg(c.plan.Variant.acknowledge(got, nil))
	}
	have := &c.have[position]
	for name, version := range names {
		have.versions[unique.Make(name)] = unique.Make(version)
	}
	have.resources += got.resources + got.removed
	completed := have.doneAt == 0 && have.wanted > 0 && have.resources >= have.wanted
	if completed {
		have.doneAt = message.at
	}
	if err := c.stream.SendMsg(c.plan.Variant.acknowledge(got, c.plan.Subscriptions[position].namesOf(c.number))); err != nil {
		return err
	}
	if completed && c.opened < len(c.plan.Subscriptions) {
		return c.openNext(false)
	}
	if completed {
		c.tell()
	}
	return nil
}

func (c *client) count(at int64, size int, got response) {
	if c.firstAt == 0 {
		c.firstAt = at
	}
	c.lastAt = at
	c.responses++
	c.bytes += size
	c.resources += got.resources
	c.removed += got.removed
}

// tell wakes whoever waits for all clients; it may already have been told.
func (c *client) tell() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// arm forgets what arrived so far and waits for that many resources of a type; 0 for none in particular.
func (c *client) arm(position, wanted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.responses, c.resources, c.removed, c.bytes, c.firstAt, c.lastAt = 0, 0, 0, 0, 0, 0
	for i := range c.have {
		c.have[i].resources, c.have[i].wanted, c.have[i].doneAt = 0, 0, 0
	}
	if wanted > 0 {
		c.have[position].wanted = wanted
	}
}

// done says whether all that this client waits for has arrived, or never will.
func (c *client) done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return true
	}
	if c.opened < len(c.plan.Subscriptions) {
		return false
	}
	for i := range c.have {
		if c.have[i].wanted > 0 && c.have[i].doneAt == 0 {
			return false
		}
	}
	return true
}

// arrivedAt is when all that was waited for was complete, or when the last thing came if nothing was; 0 for never.
func (c *client) arrivedAt() int64 {
	arrived, waited := int64(0), false
	for i := range c.have {
		if c.have[i].wanted == 0 {
			continue
		}
		if c.have[i].doneAt == 0 {
			return 0
		}
		arrived, waited = max(arrived, c.have[i].doneAt), true
	}
	if waited {
		return arrived
	}
	return c.lastAt
}

// disconnect drops the stream as a client that dies does.
func (c *client) disconnect() {
	c.mu.Lock()
	cancel := c.opening
	c.stream = nil
	c.mu.Unlock()
	cancel()
}
