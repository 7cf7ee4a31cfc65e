package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const answerWithin = 5 * time.Second

// line is one HTTP/1.1 connection that is kept open, and opened anew after a failure. No request is ever sent twice, as
// net/http's client would do: what fails is to be seen.
type line struct {
	address    string
	connection net.Conn
	answers    *bufio.Reader
}

// ask sends one request and returns the body of its 200.
func (l *line) ask(host string, within time.Duration) (string, error) {
	if l.connection == nil {
		connection, err := net.DialTimeout("tcp", l.address, within)
		if err != nil {
			return "", err
		}
		l.connection, l.answers = connection, bufio.NewReader(connection)
	}
	body, keep, err := l.exchange(host, within)
	if !keep {
		l.hangUp()
	}
	return body, err
}

func (l *line) exchange(host string, within time.Duration) (body string, keep bool, err error) {
	if err := l.connection.SetDeadline(time.Now().Add(within)); err != nil {
		return "", false, err
	}
	if _, err := fmt.Fprintf(l.connection, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return "", false, err
	}
	answer, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return "", false, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", false, err
	}
	if answer.StatusCode != http.StatusOK {
		return "", !answer.Close, fmt.Errorf("%d: %.80s", answer.StatusCode, content)
	}
	return string(content), !answer.Close, nil
}

func (l *line) hangUp() {
	if l.connection != nil {
		_ = l.connection.Close() // it is being thrown away
		l.connection = nil
	}
}
