package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"nodegate.dev/bench/internal/control"
)

// api is a client of the Kubernetes API.
type api struct {
	server string
	client *http.Client
}

// call is one request to the API.
type call struct {
	Method      string          `json:"method"`
	Path        string          `json:"path"`
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body"`
}

// connect says which API, and as whom: {"server": URL, "authority": FILE, "certificate": FILE, "key": FILE}.
func (a *api) connect(arguments json.RawMessage) (any, error) {
	var to struct{ Server, Authority, Certificate, Key string }
	if err := json.Unmarshal(arguments, &to); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(to.Authority)
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(to.Certificate, to.Key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}}
	a.server = to.Server
	a.client = &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	return struct{}{}, nil
}

// send makes calls, so many at a time, one after the other by default; the first that fails is the error:
// {"calls": [...], "parallel": N}.
func (a *api) send(arguments json.RawMessage) (any, error) {
	asked := struct {
		Calls    []call
		Parallel int
	}{Parallel: 1}
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	sent := control.Now()
	failures := make([]error, asked.Parallel)
	var all sync.WaitGroup
	for worker := range asked.Parallel {
		all.Go(func() {
			for i := worker; i < len(asked.Calls) && failures[worker] == nil; i += asked.Parallel {
				failures[worker] = a.make(asked.Calls[i])
			}
		})
	}
	all.Wait()
	return map[string]int64{"sent_ns": sent, "done_ns": control.Now()}, errors.Join(failures...)
}

func (a *api) make(c call) error {
	request, err := http.NewRequest(c.Method, a.server+c.Path, bytes.NewReader(c.Body))
	if err != nil {
		return err
	}
	if c.ContentType != "" {
		request.Header.Set("Content-Type", c.ContentType)
	}
	answer, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s: %.300s", c.Method, c.Path, answer.Status, text)
	}
	return err
}

// until makes calls, one after the other, and asks Envoy all the while, until the backend that is wanted answers:
// {"calls": [...], "address": HOST:PORT, "host": NAME, "want": BODY, "timeout_s": N}. "answered_ns" is 0 for never.
func (a *api) until(arguments json.RawMessage) (any, error) {
	var asked struct {
		Calls   []call
		Address string
		Host    string
		Want    string
		Timeout float64 `json:"timeout_s"`
	}
	if err := json.Unmarshal(arguments, &asked); err != nil {
		return nil, err
	}
	limit := time.Now().Add(time.Duration(asked.Timeout * float64(time.Second)))
	answered := make(chan int64, 1)
	go func() { answered <- poll(asked.Address, asked.Host, asked.Want, limit) }()
	sent := control.Now()
	for _, call := range asked.Calls {
		if err := a.make(call); err != nil {
			return nil, err
		}
	}
	done := control.Now()
	return map[string]int64{"sent_ns": sent, "done_ns": done, "answered_ns": <-answered}, nil
}

const pollEvery = 500 * time.Microsecond

// poll returns when that backend answers, 0 when it does not before the limit.
func poll(address, host, want string, limit time.Time) int64 {
	line := &line{address: address}
	defer line.hangUp()
	for time.Now().Before(limit) {
		if body, err := line.ask(host, answerWithin); err == nil && body == want {
			return control.Now()
		}
		time.Sleep(pollEvery)
	}
	return 0
}
