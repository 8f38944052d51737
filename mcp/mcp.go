// Package mcp offers an API to assistants, by the Model Context Protocol (MCP). Its tools and resources are the operations of an
// OpenAPI document that have the extension x-mcp. The API itself answers each call, in this process and with the caller's token: its
// scopes, limits, log, metrics and history are those of any other request.
package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
)

// Config says what is offered, and who answers.
type Config struct {
	Name, Version string // of the server, as assistants see it. The name is also the scheme of the resources
	Instructions  string // how the tools belong together

	Document     *operations.Document // must be set
	API          http.Handler         // answers the requests of the document's operations. Must be set
	BasePath     string               // in front of the document's paths
	ContractPath string               // the path of the document itself in JSON; "" for none

	Log *slog.Logger // must be set; for faults alone, since the API logs its requests
}

// Handler answers the requests of assistants. It keeps no sessions, so that any server can answer any request.
type Handler struct {
	api        *api
	streamable http.Handler
}

// New makes a handler. It fails if an operation is marked in a way that cannot be offered.
func New(cfg Config) (*Handler, error) {
	h := &Handler{api: newAPI(cfg.API, cfg.BasePath)}
	server := sdk.NewServer(&sdk.Implementation{Name: cfg.Name, Version: cfg.Version}, &sdk.ServerOptions{
		Instructions: cfg.Instructions,
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}},
		// No answer is for another token.
		SetCacheable: func(_ context.Context, _ sdk.Request, c *sdk.Cacheable) { c.CacheScope = "private" },
	})
	if err := h.addOperations(server, cfg); err != nil {
		return nil, fmt.Errorf("mcp: %w", err)
	}
	server.AddReceivingMiddleware(refuseUnsupported, recoverPanics(cfg.Log))
	h.streamable = sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, PropagateRequestCancellation: true,
		// A proxy on the same machine passes other hosts on. The caller checks Origin, and a token is needed in any case.
		DisableLocalhostProtection: true,
		MaxRequestBodyBytes:        -1, // the caller has read it
	})
	return h, nil
}

func (h *Handler) addOperations(server *sdk.Server, cfg Config) error {
	names := map[string]bool{}
	for _, op := range cfg.Document.Operations {
		ext, err := readExtension(op)
		if err != nil {
			return fmt.Errorf("%s: %w", op.ID, err)
		}
		if ext == nil {
			continue
		}
		if names[ext.Name] {
			return fmt.Errorf("%s: another tool is named %s", op.ID, ext.Name)
		}
		names[ext.Name] = true
		t, err := newTool(h.api, cfg.Document, op, ext)
		if err != nil {
			return fmt.Errorf("%s: %w", op.ID, err)
		}
		server.AddTool(t.describe(ext), t.call)
		if ext.Resource != "" {
			if err := addResource(server, h.api, cfg.Name, op, ext); err != nil {
				return fmt.Errorf("%s: %w", op.ID, err)
			}
		}
	}
	if cfg.ContractPath != "" {
		addDocument(server, h.api, cfg.Name, cfg.ContractPath)
	}
	return nil
}

// RefusedError reports an HTTP request that is not one of MCP: none of its messages was handled, and no answer was written.
type RefusedError struct {
	Status int
	Reason string // for the client
}

func (e *RefusedError) Error() string { return e.Reason }

// Serve answers a POST, whose body the caller has bounded. Its Authorization is that of the requests to the API, and so is its
// X-Request-Id. The error is a *RefusedError.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	answer := &answerWriter{ResponseWriter: w}
	h.streamable.ServeHTTP(answer, r.WithContext(withCaller(r.Context(), r)))
	if answer.refusedStatus != 0 {
		return &RefusedError{answer.refusedStatus, strings.TrimSpace(answer.reason.String())}
	}
	return nil
}

// answerWriter holds back the plain text by which the SDK refuses a request, for the caller to answer in its own form.
type answerWriter struct {
	http.ResponseWriter

	headerWritten bool
	refusedStatus int // 0: the SDK has not refused the request
	reason        strings.Builder
}

func (w *answerWriter) WriteHeader(status int) {
	w.headerWritten = true
	if status >= http.StatusBadRequest && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.refusedStatus = status
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(text []byte) (int, error) {
	if !w.headerWritten {
		w.WriteHeader(http.StatusOK)
	}
	if w.refusedStatus != 0 {
		return w.reason.Write(text)
	}
	return w.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// supportedMethods are the methods that this server answers. The SDK answers more, some of them with a stream that does not end.
var supportedMethods = map[string]bool{
	"initialize": true, "server/discover": true, "ping": true, "tools/list": true, "tools/call": true, "resources/list": true,
	"resources/templates/list": true, "resources/read": true,
}

func refuseUnsupported(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
		if !supportedMethods[method] && !strings.HasPrefix(method, "notifications/") {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "This server does not have " + method}
		}
		return next(ctx, method, request)
	}
}

// recoverPanics keeps a panic from ending the process: the SDK handles messages in goroutines of its own, where net/http recovers
// nothing. It also logs each internalError and hides its text from clients.
func recoverPanics(log *slog.Logger) sdk.Middleware {
	return func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, request sdk.Request) (result sdk.Result, err error) {
			defer func() {
				if p := recover(); p != nil {
					log.ErrorContext(ctx, "mcp", "method", method, "error", fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
					result, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "Internal server error"}
				}
			}()
			result, err = next(ctx, method, request)
			if fault := (*internalError)(nil); errors.As(err, &fault) {
				log.ErrorContext(ctx, "mcp", "method", method, "error", err)
				err = &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "Internal server error"}
			}
			return result, err
		}
	}
}

// internalError is a fault of the server, such as an answer of the API that is not JSON.
type internalError struct{ cause error }

func (e *internalError) Error() string { return e.cause.Error() }

func (e *internalError) Unwrap() error { return e.cause }
