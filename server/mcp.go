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

// mcpEndpoint serves assistants. Each message becomes requests to this server, which take the path of all others. The endpoint
// counts its messages apart from requests: otherwise messages could use up the capacity that their own requests need.
type mcpEndpoint struct {
	server   *Server
	handler  *mcp.Handler
	origins  []string
	inFlight *capacity.Requests
	message  *operation // limits and media type of the body of a message
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
		server: s, handler: handler, origins: cfg.CORSOrigins, inFlight: capacity.NewRequests(cfg.MaxInFlight),
		message: &operation{
			id: "mcp", method: http.MethodPost, requestTypes: []string{mediaTypeJSON},
			body: &validate.Body{}, // not nil, since there is a body; package mcp validates it
		},
		observed: s.observer.Operation("mcp", http.MethodPost, mcpPath, []int{
			http.StatusOK, http.StatusAccepted, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
			http.StatusServiceUnavailable,
		}),
	}, nil
}

// serve answers a message. A request that is not a message gets an error of the API, a message a response of the protocol.
func (e *mcpEndpoint) serve(w http.ResponseWriter, r *http.Request) error {
	state := requestStateOf(r.Context())
	state.observed.Operation = e.observed
	if err := e.checkOrigin(r); err != nil {
		return err
	}
	token, err := e.server.authenticate(r)
	if err != nil {
		return err
	}
	state.token, state.observed.TokenID = token, token.ID
	if err := e.inFlight.Acquire(token.ID); err != nil {
		return err
	}
	defer e.inFlight.Release(token.ID)
	if memory := e.message.memoryFor(r); memory > 0 {
		if err := e.server.bodyMemory.Reserve(token.ID, memory); err != nil {
			transport.DiscardBody(r, maxBody)
			return err
		}
		defer e.server.bodyMemory.Release(token.ID, memory)
	}
	body, err := e.message.readBody(w, r)
	if err != nil {
		return err
	}
	if err := checkMessage(body); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header[transport.RequestIDHeader] = state.requestID[:] // of the requests to the API, too
	err = e.handler.Serve(w, r)
	if refused := (*mcp.RefusedError)(nil); errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
		return invalidRequest("Not a request of MCP: "+refused.Reason, nil)
	}
	return err
}

// checkOrigin refuses scripts of origins that are not configured, which the protocol requires against DNS rebinding. Clients other
// than browsers send no Origin.
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

// checkMessage refuses a body that is not one JSON object, by the rules for all bodies. It also refuses the batches of old versions of
// the protocol, since one body could hold thousands of requests.
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
