package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// outcome is what became of one run: how many connections, and how long each took until its first byte was answered.
type outcome struct {
	Count     int     `json:"count"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
}

// client knows where to connect to.
type client struct {
	places []*unix.SockaddrInet4
}

// aim says where connections go from now on, so that no turn pays for reading it: {"places": [ADDRESS:PORT, ...]}.
func (c *client) aim(arguments json.RawMessage) (any, error) {
	var asked struct{ Places []netip.AddrPort }
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	c.places = make([]*unix.SockaddrInet4, len(asked.Places))
	for i, place := range asked.Places {
		c.places[i] = &unix.SockaddrInet4{Addr: place.Addr().As4(), Port: int(place.Port())}
	}
	return struct{}{}, nil
}

// connect opens connections for a while, so many at a time, to one place after another; the first that fails is the
// error: {"parallel": N, "seconds": S}.
func (c *client) connect(arguments json.RawMessage) (any, error) {
	var asked struct {
		Parallel int
		Seconds  float64
	}
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	began := time.Now()
	until := began.Add(time.Duration(asked.Seconds * float64(time.Second)))
	took := make([][]time.Duration, asked.Parallel)
	failures := make([]error, asked.Parallel)
	var all sync.WaitGroup
	for i := range asked.Parallel {
		all.Go(func() { took[i], failures[i] = oneAfterAnother(c.places, i*len(c.places)/asked.Parallel, until) })
	}
	all.Wait()
	return summary(slices.Concat(took...), time.Since(began)), errors.Join(failures...)
}

func oneAfterAnother(places []*unix.SockaddrInet4, first int, until time.Time) ([]time.Duration, error) {
	var took []time.Duration
	for at := first; ; at++ {
		began := time.Now()
		if began.After(until) {
			return took, nil
		}
		place := places[at%len(places)]
		if err := once(place); err != nil {
			return took, fmt.Errorf("%v:%d: %w", netip.AddrFrom4(place.Addr), place.Port, err)
		}
		took = append(took, time.Since(began))
	}
}

// once opens a connection, sends a byte, waits for it to come back and ends the connection by a reset, so that neither
// side keeps anything of it.
func once(place *unix.SockaddrInet4) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := unix.SetsockoptLinger(socket, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Connect(socket, place); err != nil {
		return err
	}
	buffer := [1]byte{'.'}
	if _, err := unix.Write(socket, buffer[:]); err != nil {
		return err
	}
	_, err = unix.Read(socket, buffer[:])
	return err
}

func summary(took []time.Duration, whole time.Duration) outcome {
	slices.Sort(took)
	if len(took) == 0 {
		return outcome{}
	}
	return outcome{
		Count:     len(took),
		PerSecond: float64(len(took)) / whole.Seconds(),
		P50:       microseconds(took[len(took)/2]),
		P99:       microseconds(took[len(took)*99/100]),
	}
}

func microseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond)
}
