// Package conformance holds the server to openapi.yaml from the outside: it makes requests of the contract, for every operation
// with each property, parameter, media type, method and token right and wrong, and knows from the contract what must come
// back. It reads the file that people read, not what the server was generated from.
//
// A second test breaks the server's code in many small ways, one at a time, and counts how many the first one finds.
package conformance
