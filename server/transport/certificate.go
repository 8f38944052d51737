package transport

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateAge is how long a certificate is used before its files are checked again.
const certificateAge = time.Second

// Certificate is a TLS certificate and its key in two files. New handshakes use a new pair as soon as it is there. Certificate
// ignores a certificate whose key does not match, as while only one of the files is renewed: the old pair stays in use.
type Certificate struct {
	files [2]string // the PEM files of the certificate and its key
	log   *slog.Logger
	clock func() time.Time

	mu      sync.Mutex
	pair    *tls.Certificate
	seen    [2]fileState
	checked time.Time
}

// fileState tells whether a file has changed.
type fileState struct {
	modified time.Time
	size     int64
}

// LoadCertificate reads a certificate and its key, and later reloads them when the files change. It returns nil if no files are
// named.
func LoadCertificate(certFile, keyFile string, log *slog.Logger, clock func() time.Time) (*Certificate, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil //nolint:nilnil // no TLS is not an error
	}
	c := &Certificate{files: [2]string{certFile, keyFile}, log: log, clock: clock}
	c.seen, c.checked = c.stat(), clock()
	return c, c.load()
}

func (c *Certificate) stat() (states [2]fileState) {
	for i, name := range c.files {
		if info, err := os.Stat(name); err == nil {
			states[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return states
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.files[0], c.files[1])
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	c.pair = &pair
	return nil
}

// get implements tls.Config.GetCertificate.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.clock(); now.Sub(c.checked) >= certificateAge {
		c.checked = now
		c.reload()
	}
	return c.pair, nil
}

func (c *Certificate) reload() {
	states := c.stat()
	if states == c.seen {
		return
	}
	c.seen = states
	if err := c.load(); err != nil {
		c.log.Error("the new certificate is not used, the old one stays", "error", err)
		return
	}
	c.log.Info("a new certificate is used", "not_after", c.pair.Leaf.NotAfter)
}
