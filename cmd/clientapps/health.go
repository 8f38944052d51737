package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a server may take to say that it runs.
const healthTimeout = 3 * time.Second

func (p *process) healthCommand() *cobra.Command {
	return p.command("health", "Ask the server with these settings whether it runs", ofHealth, p.health)
}

// health is for images that have no other program to ask with.
func (p *process) health(ctx context.Context, cfg Config, _ []string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, healthURL(cfg), nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing is told, and the certificate has another name than loopback
	}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // the status is all that counts
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", answer.Status)
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

// healthURL is where a server with these settings is reached from beside it.
func healthURL(cfg Config) string {
	host, port, _ := net.SplitHostPort(cfg.Addr)
	switch host { // not localhost: an image has no /etc/hosts
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/healthz"
}
