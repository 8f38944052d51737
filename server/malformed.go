package server

import (
	"net"
	"net/http"

	"github.com/clientapps/clientapps/gen"
)

// refuseMalformed answers a request that is no HTTP, which no handler sees, in the shape of all errors.
func (s *Server) refuseMalformed(status int, from net.Addr) (id string, body []byte) {
	e := invalidRequest("Malformed HTTP request", nil)
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		e = &Error{Status: status, Code: gen.ErrorCodeHeaderFieldsTooLarge, Message: "Request header is too large"}
	case http.StatusExpectationFailed:
		e = &Error{Status: status, Code: gen.ErrorCodeExpectationFailed, Message: "Expect must be 100-continue"}
	}
	id = requestID("")
	s.log.Info("malformed request", "status", status, "remote_addr", from.String(), "request_id", id)
	body, err := encodeError(e)
	if err != nil {
		s.log.Error("encode error", "error", err)
	}
	return id, body
}
