// Package control is the conversation between the orchestrator (bench/driver.py) and a process under measurement.
//
// One JSON object per line: commands on standard input, one answer each on standard output, in order. A command is
// {"do": NAME, ...}; an answer is an object, {"error": TEXT} when the command failed. The Python side of the same
// conversation is bench/control.py.
package control

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Command does one thing that the orchestrator asks for. The arguments are the whole line.
type Command func(arguments json.RawMessage) (any, error)

// Serve prints the greeting and then answers commands until standard input ends or "quit" is asked for.
func Serve(greeting any, commands map[string]Command) error {
	commands["cpu"] = func(json.RawMessage) (any, error) { return cpu(), nil }
	commands["memory"] = func(json.RawMessage) (any, error) { return memory() }
	commands["reset_peak"] = func(json.RawMessage) (any, error) { return struct{}{}, resetPeak() }
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(greeting); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		answer, quit := answerTo(line, commands)
		if err := answers.Encode(answer); err != nil || quit {
			return err
		}
	}
}

func answerTo(line []byte, commands map[string]Command) (answer any, quit bool) {
	var asked struct{ Do string }
	if err := json.Unmarshal(line, &asked); err != nil {
		return failure(err), false
	}
	if asked.Do == "quit" {
		return struct{}{}, true
	}
	command, known := commands[asked.Do]
	if !known {
		return failure(fmt.Errorf("there is no command %q", asked.Do)), false
	}
	answer, err := command(line)
	if err != nil {
		return failure(err), false
	}
	return answer, false
}

func failure(err error) any {
	return map[string]string{"error": err.Error()}
}

// Now reads the monotonic clock that all processes of a machine share, in nanoseconds.
func Now() int64 {
	return read(unix.CLOCK_MONOTONIC)
}

func read(clock int32) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		panic(err) // cannot fail for a clock that Linux always has
	}
	return now.Nano()
}

// cpu is what all threads have used so far, user and system.
func cpu() any {
	return map[string]float64{"seconds": float64(read(unix.CLOCK_PROCESS_CPUTIME_ID)) / 1e9}
}

// memory is the resident KiB, now and at most since the last reset.
func memory() (any, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	return map[string]int64{"rss_kib": kibibytes(status, "VmRSS:"), "peak_kib": kibibytes(status, "VmHWM:")}, nil
}

func kibibytes(status []byte, field string) int64 {
	_, after, _ := bytes.Cut(status, []byte(field))
	words := bytes.Fields(after)
	if len(words) == 0 {
		return 0
	}
	value, _ := strconv.ParseInt(string(words[0]), 10, 64)
	return value
}

// resetPeak makes the kernel forget the highest resident size (proc(5), clear_refs, value 5).
func resetPeak() error {
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}
