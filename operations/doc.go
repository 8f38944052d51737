// Package operations reads the operations of an OpenAPI document and builds the request of each from named values. It knows no
// operation by name: the command for the shell and the tools for assistants are made from what it reads.
package operations
