// Command peers serves ADS with go-control-plane, for comparison in the same run.
//
//	peers snapshot|linear RESOURCES
//
// It prints its address and is then told over standard input to prepare and to apply changes (package control).
// Decoding the change is not part of what is measured; putting it into the cache is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"

	"nodegate.dev/bench/internal/control"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: peers snapshot|linear RESOURCES")
	}
	initial, err := readResources(arguments[1])
	if err != nil {
		return err
	}
	peer, err := newPeer(arguments[0], initial)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ads := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	discovery.RegisterAggregatedDiscoveryServiceServer(ads, server.NewServer(context.Background(), peer.cache(), nil))
	go func() { log.Fatal(ads.Serve(listener)) }()
	return control.Serve(map[string]string{"address": listener.Addr().String()}, changes(peer))
}

func changes(peer peer) map[string]control.Command {
	var prepared byType
	return map[string]control.Command{
		"prepare": func(arguments json.RawMessage) (any, error) {
			var from struct{ Path string }
			err := json.Unmarshal(arguments, &from)
			if err == nil {
				prepared, err = readResources(from.Path)
			}
			return struct{}{}, err
		},
		"apply": func(json.RawMessage) (any, error) {
			start := control.Now()
			return map[string]int64{"start_ns": start}, peer.apply(prepared)
		},
	}
}
