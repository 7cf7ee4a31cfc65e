package main

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	listenerMark = 0xb00
	backlog      = 4096
	eventsAtOnce = 256
)

// listen opens a transparent socket on every address for each port, which sends each byte back: {"ports": [...]}. Others
// may listen on the same ports, as the workers of one Envoy do.
func listen(arguments json.RawMessage) (any, error) {
	var asked struct{ Ports []int }
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	worker, err := newWorker(asked.Ports)
	if err != nil {
		return nil, err
	}
	go worker.run() // until the process ends
	return struct{}{}, nil
}

type worker struct {
	poll      int
	listeners map[int32]bool
}

func newWorker(ports []int) (*worker, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	made := &worker{poll, map[int32]bool{}}
	for _, port := range ports {
		socket, err := listenerOn(port)
		if err == nil {
			err = made.watch(socket)
		}
		if err != nil {
			return nil, fmt.Errorf("port %d: %w", port, err)
		}
		made.listeners[int32(socket)] = true
	}
	return made, nil
}

func listenerOn(port int) (int, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	for _, option := range [][3]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		{unix.SOL_IP, unix.IP_TRANSPARENT, 1},
		{unix.SOL_SOCKET, unix.SO_MARK, listenerMark},
	} {
		if err := unix.SetsockoptInt(socket, option[0], option[1], option[2]); err != nil {
			return 0, err
		}
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Port: port}); err != nil {
		return 0, err
	}
	return socket, unix.Listen(socket, backlog)
}

func (w *worker) watch(socket int) error {
	return unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(socket)})
}

func (w *worker) run() {
	events := make([]unix.EpollEvent, eventsAtOnce)
	for {
		count, err := unix.EpollWait(w.poll, events, -1)
		if err != nil && err != unix.EINTR {
			panic(err)
		}
		for _, event := range events[:max(count, 0)] {
			if w.listeners[event.Fd] {
				w.accept(int(event.Fd))
			} else {
				echo(int(event.Fd))
			}
		}
	}
}

func (w *worker) accept(listener int) {
	socket, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return // another event took it, or the client has gone again
	}
	if w.watch(socket) != nil {
		_ = unix.Close(socket)
	}
}

// echo sends back what came, and ends a connection that its client has ended.
func echo(socket int) {
	var buffer [1]byte
	if count, err := unix.Read(socket, buffer[:]); err == nil && count > 0 {
		if _, err := unix.Write(socket, buffer[:]); err == nil {
			return
		}
	}
	_ = unix.Close(socket)
}
