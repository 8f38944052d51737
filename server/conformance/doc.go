// Package conformance tests the server against openapi.yaml from the outside. It derives requests from the contract: for each
// operation valid and invalid bodies, properties, parameters, media types, methods and tokens. The expected answers are derived
// from the contract too. It reads the published file, not the copy from which the server was generated.
//
// TestMutations breaks the server's code in many small ways, one at a time, and checks that TestContract finds each of them.
package conformance
