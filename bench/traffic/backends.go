package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
)

// serveBackends makes every local address a backend on one port; each says its address: {"port": N}.
func serveBackends(arguments json.RawMessage) (any, error) {
	var asked struct{ Port string }
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("0.0.0.0", asked.Port))
	if err != nil {
		return nil, err
	}
	go func() { _ = http.Serve(listener, http.HandlerFunc(sayAddress)) }() // until the process ends
	return struct{}{}, nil
}

func sayAddress(answer http.ResponseWriter, request *http.Request) {
	address := request.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
	host, _, _ := net.SplitHostPort(address)
	_, _ = io.WriteString(answer, host) // a client that has gone away does not care
}
