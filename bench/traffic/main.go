// Command traffic is everyone in the benchmarks against a Kubernetes API who is not measured: whoever changes objects,
// whoever sends requests through Envoy, and the backends that answer them.
//
// It is driven over standard input (package control). Times are monotonic nanoseconds.
package main

import (
	"log"

	"nodegate.dev/bench/internal/control"
)

func main() {
	api, requests := &api{}, &requests{}
	err := control.Serve(struct{}{}, map[string]control.Command{
		"backends": serveBackends,
		"connect":  api.connect,
		"send":     api.send,
		"until":    api.until,
		"start":    requests.start,
		"stop":     requests.stop,
	})
	if err != nil {
		log.Fatal(err)
	}
}
