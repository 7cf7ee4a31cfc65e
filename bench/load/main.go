// Command load is the clients of the benchmarks: N Envoys' ADS streams over M connections in one process.
//
// It subscribes, acknowledges and notes the time at which things arrive at its sockets. It is written in Go and decodes
// no resource, so that it is not what is measured. It is driven over standard input (package control).
package main

import (
	"log"

	"nodegate.dev/bench/internal/control"
)

func main() {
	clients := &load{}
	err := control.Serve(struct{}{}, map[string]control.Command{
		"open":      clients.open,
		"arm":       clients.arm,
		"arrivals":  clients.arrivals,
		"reconnect": clients.reconnect,
	})
	if err != nil {
		log.Fatal(err)
	}
}
