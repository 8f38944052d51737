// Package server is the HTTP side of clientapps. The path of a request:
//
//	transport    timeouts, TLS, malformed HTTP; gzip, CORS
//	ServeHTTP    request id, log line, metrics, trace; 304                server.go, requeststate.go, telemetry, conditional
//	echo router  no route: 404; wrong method: 405 with Allow              routes.go
//	guard        built once per operation of the contract:                guard.go
//	             authenticate (401), authorize (403),                     auth.go
//	             no capacity (503), too many requests (429),              capacity, ratelimit
//	             body (413, 415), parameters and schema (400)             body.go, params.go, strictjson, validate
//	gen          generated strict wrapper: typed request object
//	handler      map, call the store, map                                 apps.go, fields.go, convert.go
//	writeError   any error ends here: the one place that knows statuses   errors.go
//
// A message of an assistant (mcp.go) becomes requests that begin at ServeHTTP.
package server
