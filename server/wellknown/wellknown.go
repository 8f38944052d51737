// Package wellknown serves the documents by which programs find the API, its security contact and its authorization server: the API
// catalog (RFC 9727), security.txt (RFC 9116) and the metadata of protected resources (RFC 9728). They need no token.
package wellknown

import (
	"net/http"
	"time"
)

// Config has the contents of the documents.
type Config struct {
	PublicURL       string           // scheme, host and port by which callers reach the server; "": each request says it
	SecurityContact string           // URI for reports of vulnerabilities; "" for no security.txt
	Issuer          string           // URL of the identity provider; "" for no metadata of resources
	Scopes          []string         // that access tokens can have
	BasePath        string           // of the API, such as /v2
	MCP             bool             // /mcp is served too
	Clock           func() time.Time // for the expiry of security.txt
}

// Site serves the documents of one server.
type Site struct{ cfg Config }

// The paths of the documents. That of a resource's metadata is resourcePath and the path of the resource (RFC 9728, 3.1).
const (
	catalogPath  = "/.well-known/api-catalog"
	securityPath = "/.well-known/security.txt"
	resourcePath = "/.well-known/oauth-protected-resource"
	docsPath     = "/docs"
	mcpPath      = "/mcp"
)

// New refuses a public URL and a contact that CheckPublicURL and CheckContact refuse.
func New(cfg Config) (*Site, error) {
	if cfg.PublicURL != "" {
		if err := CheckPublicURL(cfg.PublicURL); err != nil {
			return nil, err
		}
	}
	if cfg.SecurityContact != "" {
		if err := CheckContact(cfg.SecurityContact); err != nil {
			return nil, err
		}
	}
	return &Site{cfg}, nil
}

// Handlers returns a handler for GET and HEAD of each path: the documents that are configured, and /, which leads to /docs.
func (s *Site) Handlers() map[string]http.Handler {
	handlers := map[string]http.Handler{
		"/":         http.HandlerFunc(s.root),
		catalogPath: http.HandlerFunc(s.catalog),
	}
	if s.cfg.SecurityContact != "" {
		handlers[securityPath] = http.HandlerFunc(s.securityText)
	}
	for _, resource := range s.resources() {
		handlers[resourcePath+resource] = s.resourceMetadata(resource)
	}
	return handlers
}

// root redirects people to the documentation, and links to the catalog for programs.
func (s *Site) root(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", s.catalogLink(r))
	w.Header().Set("Location", docsPath)
	w.Header().Set("Content-Length", "0") // of HEAD, too
	w.WriteHeader(http.StatusFound)
}

// send writes a complete response.
func send(w http.ResponseWriter, mediaType string, text []byte) {
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(text) // fails only if the client has disconnected
}
