package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// byType is resources by type URL and name.
type byType map[resource.Type]map[string]types.Resource

// readResources reads a file of bench/resources.py: one JSON object per line, the body in base64.
func readResources(path string) (byType, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	out := byType{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			TypeURL string `json:"type_url"`
			Name    string `json:"name"`
			Body    []byte `json:"body"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		message, err := decode(line.TypeURL, line.Body)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, line.Name, err)
		}
		if out[line.TypeURL] == nil {
			out[line.TypeURL] = map[string]types.Resource{}
		}
		out[line.TypeURL][line.Name] = message
	}
	return out, lines.Err()
}

func decode(typeURL string, body []byte) (types.Resource, error) {
	var message types.Resource
	switch typeURL {
	case resource.ClusterType:
		message = &cluster.Cluster{}
	case resource.EndpointType:
		message = &endpoint.ClusterLoadAssignment{}
	default:
		return nil, fmt.Errorf("the benchmarks have no resources of type %s", typeURL)
	}
	return message, proto.Unmarshal(body, message)
}
