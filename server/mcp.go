package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/mcp"
	"github.com/clientapps/clientapps/operations"
	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/server/validate"
)

// mcpPath is where assistants send their messages.
const mcpPath = "/mcp"

// mcpEndpoint serves assistants. A message of theirs becomes requests to this server, which take the path of all others. So the
// endpoint has places of its own: a message that waited for the place of its request could wait for itself.
type mcpEndpoint struct {
	server   *Server
	handler  *mcp.Handler
	origins  []string
	places   *capacity.Requests
	message  *operation // what the guard knows of the body of a message
	observed *telemetry.Operation
}

func (s *Server) newMCPEndpoint(cfg Config) (*mcpEndpoint, error) {
	doc, err := schemas.Contract()
	if err != nil {
		return nil, err
	}
	document, err := operations.New(doc)
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	about, _ := doc.Info.Extensions["x-mcp"].(map[string]any)
	instructions, _ := about["instructions"].(string)
	handler, err := mcp.New(mcp.Config{
		Name: doc.Info.Title, Version: doc.Info.Version, Instructions: instructions,
		Document: document, API: s, BasePath: basePath, ContractPath: "/openapi.json", Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	return &mcpEndpoint{
		server: s, handler: handler, origins: cfg.CORSOrigins, places: capacity.NewRequests(cfg.MaxInFlight),
		message: &operation{
			id: "mcp", method: http.MethodPost, mediaTypes: []string{mediaTypeJSON},
			body: &validate.Body{}, // there is one; the protocol has its schema
		},
		observed: s.observer.Operation("mcp", http.MethodPost, mcpPath, []int{
			http.StatusOK, http.StatusAccepted, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
			http.StatusServiceUnavailable,
		}),
	}, nil
}

// serve answers a message. What it refuses is refused as by the API; once it is a message, the answer is one of the protocol.
func (e *mcpEndpoint) serve(w http.ResponseWriter, r *http.Request) error {
	x := requestStateOf(r.Context())
	x.observed.Operation = e.observed
	if err := e.checkOrigin(r); err != nil {
		return err
	}
	token, err := e.server.authenticate(r)
	if err != nil {
		return err
	}
	x.token, x.observed.TokenID = token, token.ID
	if err := e.places.Acquire(token.ID); err != nil {
		return err
	}
	defer e.places.Release(token.ID)
	if memory := e.message.memoryFor(r); memory > 0 {
		if err := e.server.bodies.Reserve(token.ID, memory); err != nil {
			transport.DiscardBody(r, maxBody)
			return err
		}
		defer e.server.bodies.Release(token.ID, memory)
	}
	body, err := e.message.readBody(w, r)
	if err != nil {
		return err
	}
	if err := checkMessage(body); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header[transport.RequestIDHeader] = x.requestID[:] // of the requests to the API, too
	err = e.handler.Serve(w, r)
	if refused := (*mcp.RefusedError)(nil); errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
		return invalidRequest("Not a request of MCP: "+refused.Reason, nil)
	}
	return err
}

// checkOrigin refuses the scripts of origins that are not configured, whatever Host they name. This is the protection against DNS
// rebinding that the protocol asks for. Programs send no Origin.
func (e *mcpEndpoint) checkOrigin(r *http.Request) error {
	for _, origin := range r.Header.Values("Origin") {
		if !slices.ContainsFunc(e.origins, func(allowed string) bool { return strings.EqualFold(allowed, origin) }) {
			return &Error{
				Status: http.StatusForbidden, Code: gen.ErrorCodeForbidden, Message: "Requests of this origin are not allowed",
			}
		}
	}
	return nil
}

// checkMessage refuses what is not one JSON object, by the rules for all bodies. Old versions of the protocol have batches, in which
// one request could ask for as many as a body has room for.
func checkMessage(body []byte) error {
	if _, err := strictjson.Parse(body, strictjson.Options{
		MaxNodes: schemas.MaxNodes, Keep: func(string) bool { return false },
	}); err != nil {
		return invalidRequest("Request body "+err.Error(), nil)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return invalidRequest("Request body must be one message; batches are not supported", nil)
	}
	return nil
}
