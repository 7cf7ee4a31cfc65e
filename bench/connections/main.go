// Command connections is both ends of the benchmark of redirects: listeners as Envoy's sockets are, and a client that
// opens one connection after another. Both make bare system calls, so that they are not what is measured.
//
// It is driven over standard input (package control), one process for each end.
package main

import (
	"log"

	"nodegate.dev/bench/internal/control"
)

func main() {
	var ours client
	err := control.Serve(struct{}{}, map[string]control.Command{
		"listen":  listen,
		"aim":     ours.aim,
		"connect": ours.connect,
	})
	if err != nil {
		log.Fatal(err)
	}
}
