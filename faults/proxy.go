package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands between a server and its database. It spoils what passes on request.
type Proxy struct{ proxy *toxiproxy.Proxy }

// NewProxy starts a proxy that passes everything on.
func NewProxy(upstream string) (*Proxy, error) {
	engine := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{toxiproxy.NewProxy(engine, "database", "127.0.0.1:0", upstream)}
	return p, p.proxy.Start()
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.proxy.Listen }

// Refuse ends every connection, and refuses new ones until Heal.
func (p *Proxy) Refuse() { p.proxy.Stop() }

// Add spoils connections, those there are and new ones, until Heal. kind and attributes are a toxic of toxiproxy's, stream
// is "upstream" for what the server sends and "downstream" for what the database answers.
func (p *Proxy) Add(kind, stream string, attributes map[string]int) error {
	text, err := json.Marshal(map[string]any{
		"name": kind + "_" + stream, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		return err
	}
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
		return fmt.Errorf("toxic %s: %w", text, err)
	}
	return nil
}

// Heal passes everything on again.
func (p *Proxy) Heal(ctx context.Context) error {
	p.proxy.Toxics.ResetToxics(ctx)
	if p.proxy.Enabled {
		return nil
	}
	return p.proxy.Start()
}

// Close ends the proxy.
func (p *Proxy) Close() { p.proxy.Stop() }
