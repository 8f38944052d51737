package transport

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateCheckInterval is the shortest time between two checks of the files for changes.
const certificateCheckInterval = time.Second

// Certificate is a TLS certificate and its key in two files. New handshakes use a new pair within a second. The old
// pair stays in use while the certificate and the key do not match, which happens when only one file has been replaced so far.
type Certificate struct {
	files [2]string // the PEM files of the certificate and its key
	log   *slog.Logger
	clock func() time.Time

	mu        sync.Mutex
	pair      *tls.Certificate
	loaded    [2]fileState // the files when load was last called
	checkedAt time.Time
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
	c.loaded, c.checkedAt = c.stat(), clock()
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
	if now := c.clock(); now.Sub(c.checkedAt) >= certificateCheckInterval {
		c.checkedAt = now
		c.reload()
	}
	return c.pair, nil
}

func (c *Certificate) reload() {
	states := c.stat()
	if states == c.loaded {
		return
	}
	c.loaded = states
	if err := c.load(); err != nil {
		c.log.Error("the new certificate is not used, the old one stays", "error", err)
		return
	}
	c.log.Info("a new certificate is used", "not_after", c.pair.Leaf.NotAfter)
}
