package wellknown

import (
	"encoding/json"
	"net/http"
)

// resource is the metadata of a protected resource (RFC 9728, 2).
type resource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name"`
	Documentation        string   `json:"resource_documentation"`
}

// resources returns the paths for which the identity provider issues tokens.
func (s *Site) resources() []string {
	switch {
	case s.cfg.Issuer == "":
		return nil
	case s.cfg.MCP:
		return []string{s.cfg.BasePath, mcpPath}
	}
	return []string{s.cfg.BasePath}
}

func (s *Site) resourceMetadata(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		origin := s.origin(r)
		text, _ := json.Marshal(resource{ //nolint:errchkjson // strings can always be encoded
			Resource: origin + path, AuthorizationServers: []string{s.cfg.Issuer}, Scopes: s.cfg.Scopes,
			BearerMethods: []string{"header"}, Name: "clientapps", Documentation: origin + docsPath,
		})
		send(w, "application/json", append(text, '\n'))
	}
}

// Challenge returns the WWW-Authenticate header of a 401 with an identity provider, or "" without one. It has the URL of the metadata
// of the requested resource (RFC 9728, 5.1), which say where to get a token.
func (s *Site) Challenge(r *http.Request) string {
	if s.cfg.Issuer == "" {
		return ""
	}
	path := s.cfg.BasePath
	if s.cfg.MCP && r.URL.Path == mcpPath {
		path = mcpPath
	}
	return `Bearer resource_metadata="` + s.origin(r) + resourcePath + path + `"`
}
