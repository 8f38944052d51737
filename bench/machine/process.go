// Package machine starts the programs of a benchmark, stops them, and measures what they use.
package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a running program.
type Process struct {
	Name  string
	Ready time.Duration // from the start to the first answer

	cmd  *exec.Cmd
	quit os.Signal
	done chan struct{}
	err  error
	log  *os.File
}

// Start runs a command and writes its output to a file. The kernel kills the command when the thread that called Start ends, so only call
// it from the main thread.
func Start(name string, cmd *exec.Cmd, logPath string, quit os.Signal) (*Process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a path of our own
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // an interrupt at the terminal must not reach it directly
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	p := &Process{Name: name, cmd: cmd, quit: quit, done: make(chan struct{}), log: log}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Await polls a URL until it answers 200.
func (p *Process) Await(ctx context.Context, url, token string, start time.Time) error {
	deadline := time.After(time.Minute)
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				p.Ready = time.Since(start)
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w; its log is %s", p.Name, p.err, p.log.Name())
		case <-deadline:
			return fmt.Errorf("%s does not answer at %s; its log is %s", p.Name, url, p.log.Name())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TrimLog empties the log, so that a server that logs each request does not fill the disk.
func (p *Process) TrimLog() error { return p.log.Truncate(0) }

// Stop signals the process to end, and kills its process group after ten seconds.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(p.quit)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	}
	_ = p.log.Close()
}

// FreeAddr returns a free loopback address.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
