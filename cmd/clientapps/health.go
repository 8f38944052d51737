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

// healthTimeout bounds the request to /healthz.
const healthTimeout = 3 * time.Second

func (p *process) healthCommand() *cobra.Command {
	return p.command("health", "Check that the server with these settings is running", forHealth, p.health)
}

// health replaces curl in images that do not have it.
func (p *process) health(ctx context.Context, cfg Config, _ []string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, healthURL(cfg), nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing secret is sent, and the certificate is not for loopback
	}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", answer.Status)
	}
	_, err = fmt.Fprintln(p.stdout, "ok")
	return err
}

// healthURL returns the URL of /healthz for a caller on the same machine.
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
