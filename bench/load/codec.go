package main

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"nodegate.dev/bench/internal/control"
)

// rawCodec carries bytes as they are, so that decoding protobuf in this process is not part of what is measured.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

// arrival is one message as it came off the connection.
type arrival struct {
	at      int64 // monotonic nanoseconds
	message mem.Buffer
}

func (rawCodec) Name() string { return "proto" } // servers look at the content-subtype

func (rawCodec) Marshal(value any) (mem.BufferSlice, error) {
	message, ok := value.([]byte)
	if !ok {
		return nil, fmt.Errorf("a request has to be bytes, not %T", value)
	}
	return mem.BufferSlice{mem.SliceBuffer(message)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, value any) error {
	into, ok := value.(*arrival)
	if !ok {
		return fmt.Errorf("a response has to go into an arrival, not %T", value)
	}
	into.at = control.Now()
	into.message = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}
