package wellknown

import (
	"encoding/json"
	"net/http"
)

const catalogType = `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"`

// link is a target of a link, and its media type where that is known.
type link struct {
	Href string `json:"href"`
	Type string `json:"type,omitempty"`
}

// links are the links of one anchor (RFC 9264). The relations other than item are those of RFC 8631.
type links struct {
	Anchor      string `json:"anchor"`
	Item        []link `json:"item,omitempty"`
	ServiceDesc []link `json:"service-desc,omitempty"`
	ServiceDoc  []link `json:"service-doc,omitempty"`
	ServiceMeta []link `json:"service-meta,omitempty"`
	Status      []link `json:"status,omitempty"`
}

// catalog serves the API catalog: which APIs the server has, and where each is described.
func (s *Site) catalog(w http.ResponseWriter, r *http.Request) {
	origin := s.origin(r)
	api := links{
		Anchor: origin + s.cfg.BasePath,
		ServiceDesc: []link{
			{origin + "/openapi.yaml", "application/yaml"},
			{origin + "/openapi.json", "application/json"},
			{origin + "/openapi-3.1.json", "application/json"},
		},
		ServiceDoc: []link{{origin + docsPath, "text/html"}},
		Status:     []link{{origin + "/readyz", "text/plain"}},
	}
	linkset := []links{{Anchor: origin + catalogPath, Item: []link{{Href: api.Anchor}}}, api}
	if s.cfg.MCP {
		linkset[0].Item = append(linkset[0].Item, link{Href: origin + mcpPath})
		linkset = append(linkset, links{Anchor: origin + mcpPath, Status: api.Status})
	}
	for i, resource := range s.resources() {
		linkset[i+1].ServiceMeta = []link{{origin + resourcePath + resource, "application/json"}}
	}
	text, _ := json.Marshal(map[string][]links{"linkset": linkset}) //nolint:errchkjson // strings can always be encoded
	w.Header().Set("Link", s.catalogLink(r))
	send(w, catalogType, append(text, '\n'))
}

// catalogLink is the Link header that leads to the catalog. HEAD of the catalog has it too (RFC 9727, 2).
func (s *Site) catalogLink(r *http.Request) string {
	return "<" + s.origin(r) + catalogPath + `>; rel="api-catalog"`
}
