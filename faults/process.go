package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout bounds how long a process may take to end after a signal.
const stopTimeout = 60 * time.Second

// Process is a running program. Its output goes to a file.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // result of Wait; only read it after done is closed
}

// start runs a command and appends its output to a file. The command ends when this program ends.
func start(cmd *exec.Cmd, logPath string) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a path of our own
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // an interrupt at the terminal must not reach it directly
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// signal sends a signal and waits until the process ends. It returns nil for exit code 0.
func (p *Process) signal(s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s) // the process may have ended already
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %v of %v", p.cmd.Path, stopTimeout, s)
	}
}

// kill ends the process with SIGKILL.
func (p *Process) kill() { _ = p.signal(syscall.SIGKILL) }

// eventually polls until a condition is true, for at most startTimeout.
func eventually(what string, condition func() bool) error {
	deadline := time.Now().Add(startTimeout)
	for !condition() {
		if time.Now().After(deadline) {
			return errors.New(what + ": not within " + startTimeout.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// lastPort is the port that freeAddr returned last. Two programs begin at different ports.
var lastPort atomic.Int32

func init() { lastPort.Store(10_000 + rand.Int32N(15_000)) } //nolint:gosec // no secret

// freeAddr returns a free loopback address, and never the same twice. Its port is below those that the system gives to connections
// and listeners by itself, so that it is still free when a server takes it, or starts again.
func freeAddr() (string, error) {
	for {
		port := lastPort.Add(1)
		if port >= 32_768 {
			return "", errors.New("no free port below 32768")
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(int(port))) //nolint:noctx // closed at once
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return "", err
		}
		return l.Addr().String(), l.Close()
	}
}
