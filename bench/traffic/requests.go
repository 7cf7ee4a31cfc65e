package main

import (
	"encoding/json"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// requests is constant load: requests at a rate, whatever becomes of those before (an open loop).
type requests struct {
	address, host string
	every         time.Duration
	ending        chan struct{}
	running       sync.WaitGroup

	mu     sync.Mutex
	idle   []*line
	took   []time.Duration
	failed map[string]int
	late   time.Duration
}

// outcome is what became of the load. Late is how much too late a request was sent at most: the machine was busy.
type outcome struct {
	Sent   int            `json:"sent"`
	Failed map[string]int `json:"failed"`
	P50    float64        `json:"p50_ms"`
	P99    float64        `json:"p99_ms"`
	Late   float64        `json:"late_ms"`
}

// start sends requests until stop: {"address": HOST:PORT, "host": NAME, "rate": PER SECOND}.
func (r *requests) start(arguments json.RawMessage) (any, error) {
	var asked struct {
		Address, Host string
		Rate          float64
	}
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	r.address, r.host = asked.Address, asked.Host
	r.every = time.Duration(float64(time.Second) / asked.Rate)
	r.ending, r.took, r.failed, r.late = make(chan struct{}), nil, map[string]int{}, 0
	r.running.Go(r.run)
	return struct{}{}, nil
}

func (r *requests) run() {
	for due := time.Now(); ; due = due.Add(r.every) {
		select {
		case <-r.ending:
			return
		case <-time.After(time.Until(due)):
			late := time.Since(due)
			r.running.Go(func() { r.one(late) })
		}
	}
}

func (r *requests) one(late time.Duration) {
	line := r.take()
	began := time.Now()
	_, err := line.ask(r.host, answerWithin)
	took := time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, line)
	r.took = append(r.took, took)
	r.late = max(r.late, late)
	if err != nil {
		r.failed[reason(err)]++
	}
}

func (r *requests) take() *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.idle) - 1; last >= 0 {
		line := r.idle[last]
		r.idle = r.idle[:last]
		return line
	}
	return &line{address: r.address}
}

// stop ends the load, waits for what is under way, and returns the outcome.
func (r *requests) stop(json.RawMessage) (any, error) {
	close(r.ending)
	r.running.Wait()
	for _, line := range r.idle {
		line.hangUp()
	}
	r.idle = nil
	slices.Sort(r.took)
	out := outcome{Sent: len(r.took), Failed: r.failed, Late: milliseconds(r.late)}
	if len(r.took) > 0 {
		out.P50 = milliseconds(r.took[len(r.took)/2])
		out.P99 = milliseconds(r.took[len(r.took)*99/100])
	}
	return out, nil
}

// reason is an error without the addresses of the one connection that had it.
func reason(err error) string {
	var ofNetwork *net.OpError
	if errors.As(err, &ofNetwork) {
		return ofNetwork.Op + ": " + ofNetwork.Err.Error()
	}
	return err.Error()
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}
