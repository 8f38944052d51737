// Package store keeps clients, their apps, the shared catalog and the API tokens in SQLite or PostgreSQL.
//
// Every method takes a context and a key that names the client; there is no lookup by a bare id. Both databases answer
// alike: names are compared by a case-folded key computed in Go, ids are ordered bytewise, times are UTC milliseconds
// from the store's one clock. What can go wrong for a caller's sake is one of the error types in errors.go; any other
// error is a fault of the database or of this package.
package store
