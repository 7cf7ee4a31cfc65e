package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// peer is one way to use go-control-plane: a cache, and how a change gets into it.
type peer interface {
	cache() cache.Cache
	apply(changed byType) error
}

func newPeer(kind string, initial byType) (peer, error) {
	switch kind {
	case "snapshot":
		return newSnapshotPeer(initial)
	case "linear":
		return newLinearPeer(initial), nil
	}
	return nil, fmt.Errorf("there is no cache %q: it is snapshot or linear", kind)
}

// everyNode gives all nodes one snapshot: the cheapest way to use a SnapshotCache when all are served the same.
type everyNode struct{}

func (everyNode) ID(*core.Node) string { return "" }

// snapshotPeer holds everything in one SnapshotCache. A change replaces the snapshot, as it has to; the types that did
// not change keep their version.
type snapshotPeer struct {
	snapshots cache.SnapshotCache
	current   *cache.Snapshot
	items     byType
	version   int
}

func newSnapshotPeer(initial byType) (*snapshotPeer, error) {
	out := &snapshotPeer{
		// Without the ads flag: with it, named requests for less than everything are never answered.
		snapshots: cache.NewSnapshotCache(false, everyNode{}, nil),
		current:   &cache.Snapshot{},
		items:     byType{resource.ClusterType: {}, resource.EndpointType: {}},
	}
	return out, out.apply(initial)
}

func (p *snapshotPeer) cache() cache.Cache { return p.snapshots }

func (p *snapshotPeer) apply(changed byType) error {
	p.version++
	next := &cache.Snapshot{Resources: p.current.Resources}
	for typeURL, resources := range changed {
		maps.Copy(p.items[typeURL], resources)
		position := cache.GetResponseType(typeURL)
		all := slices.Collect(maps.Values(p.items[typeURL]))
		next.Resources[position] = cache.NewResources(strconv.Itoa(p.version), all)
	}
	p.current = next
	return p.snapshots.SetSnapshot(context.Background(), "", next)
}

// linearPeer holds each type in a LinearCache of its own, behind a MuxCache.
type linearPeer struct {
	mux    *cache.MuxCache
	linear map[resource.Type]*cache.LinearCache
}

func newLinearPeer(initial byType) *linearPeer {
	out := &linearPeer{linear: map[resource.Type]*cache.LinearCache{}}
	caches := map[string]cache.Cache{}
	for _, typeURL := range []resource.Type{resource.ClusterType, resource.EndpointType} {
		linear := cache.NewLinearCache(typeURL, cache.WithInitialResources(initialOf(initial, typeURL)))
		out.linear[typeURL], caches[typeURL] = linear, linear
	}
	out.mux = &cache.MuxCache{
		Classify:      func(request *cache.Request) string { return request.GetTypeUrl() },
		ClassifyDelta: func(request *cache.DeltaRequest) string { return request.GetTypeUrl() },
		Caches:        caches,
	}
	return out
}

func initialOf(initial byType, typeURL resource.Type) map[string]types.Resource {
	if resources, exist := initial[typeURL]; exist {
		return resources
	}
	return map[string]types.Resource{}
}

func (p *linearPeer) cache() cache.Cache { return p.mux }

func (p *linearPeer) apply(changed byType) error {
	for typeURL, resources := range changed {
		if err := p.linear[typeURL].UpdateResources(resources, nil); err != nil {
			return err
		}
	}
	return nil
}
