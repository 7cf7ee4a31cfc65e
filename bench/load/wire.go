package main

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// variant is one of the two forms of the protocol on ADS.
type variant string

const (
	delta variant = "delta"
	sotw  variant = "sotw"
)

func (v variant) method() string {
	if v == delta {
		return "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	}
	return "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
}

// Field numbers of envoy.service.discovery.v3.
const (
	responseVersion, responseResources, responseTypeURL, responseNonce = 1, 2, 4, 5
	deltaResponseRemoved                                               = 6
	resourceVersion, resourceName                                      = 1, 3

	requestVersion, requestNode, requestNames, requestTypeURL, requestNonce = 1, 2, 3, 4, 5

	deltaRequestNode, deltaRequestTypeURL, deltaRequestSubscribe = 1, 2, 3
	deltaRequestInitialVersions, deltaRequestNonce               = 5, 6

	nodeID, nodeMetadata, structFields, mapKey, mapValue, valueString = 1, 3, 1, 1, 2, 3
)

var errMalformed = errors.New("the server sent bytes that are not a discovery response")

// response is what a client has to know of a discovery response. Slices point into the message.
type response struct {
	version, typeURL, nonce []byte
	resources, removed      int
}

// parse reads the envelope of a response and skips the resources, but hands each to visit unless that is nil.
func parse(message []byte, visit func(resource []byte)) (response, error) {
	var out response
	err := fields(message, func(number protowire.Number, content []byte) {
		switch number {
		case responseVersion:
			out.version = content
		case responseResources:
			out.resources++
			if visit != nil {
				visit(content)
			}
		case responseTypeURL:
			out.typeURL = content
		case responseNonce:
			out.nonce = content
		case deltaResponseRemoved:
			out.removed++
		}
	})
	return out, err
}

// nameAndVersion reads the two from an envoy.service.discovery.v3.Resource.
func nameAndVersion(resource []byte) (name, version []byte) {
	_ = fields(resource, func(number protowire.Number, content []byte) { // malformed: the caller sees empty names
		switch number {
		case resourceVersion:
			version = content
		case resourceName:
			name = content
		}
	})
	return name, version
}

// fields calls visit for every length-delimited field and skips the others.
func fields(message []byte, visit func(number protowire.Number, content []byte)) error {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return errMalformed
		}
		message = message[size:]
		if kind == protowire.BytesType {
			content, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return errMalformed
			}
			visit(number, content)
			message = message[size:]
			continue
		}
		size = protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return errMalformed
		}
		message = message[size:]
	}
	return nil
}

func appendString(to []byte, number protowire.Number, value string) []byte {
	to = protowire.AppendTag(to, number, protowire.BytesType)
	return protowire.AppendString(to, value)
}

func appendBytes(to []byte, number protowire.Number, value []byte) []byte {
	to = protowire.AppendTag(to, number, protowire.BytesType)
	return protowire.AppendBytes(to, value)
}

// node is an envoy.config.core.v3.Node as nodegate's bootstrap writes it: an id and the Kubernetes node's name.
func node(id string) []byte {
	value := appendString(nil, valueString, id)
	entry := appendString(nil, mapKey, "nodegate.dev/node")
	entry = appendBytes(entry, mapValue, value)
	return appendBytes(appendString(nil, nodeID, id), nodeMetadata, appendBytes(nil, structFields, entry))
}

// subscribe is the first request for a type on a stream. The node goes with the stream's first request only.
func (v variant) subscribe(node []byte, typeURL string, names []string, versions map[string]string) []byte {
	var out []byte
	if v == sotw {
		if node != nil {
			out = appendBytes(out, requestNode, node)
		}
		for _, name := range names {
			out = appendString(out, requestNames, name)
		}
		return appendString(out, requestTypeURL, typeURL)
	}
	if node != nil {
		out = appendBytes(out, deltaRequestNode, node)
	}
	out = appendString(out, deltaRequestTypeURL, typeURL)
	for _, name := range names {
		out = appendString(out, deltaRequestSubscribe, name)
	}
	for name, version := range versions {
		entry := appendString(appendString(nil, mapKey, name), mapValue, version)
		out = appendBytes(out, deltaRequestInitialVersions, entry)
	}
	return out
}

// acknowledge accepts a response; in the state of the world the names are repeated.
func (v variant) acknowledge(accepted response, names []string) []byte {
	if v == delta {
		out := appendBytes(nil, deltaRequestTypeURL, accepted.typeURL)
		return appendBytes(out, deltaRequestNonce, accepted.nonce)
	}
	out := appendBytes(nil, requestVersion, accepted.version)
	for _, name := range names {
		out = appendString(out, requestNames, name)
	}
	out = appendBytes(out, requestTypeURL, accepted.typeURL)
	return appendBytes(out, requestNonce, accepted.nonce)
}
