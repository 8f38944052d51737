package mcp

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/clientapps/clientapps/operations"
)

// hashLength is that of the hash in a confirmation, in bytes.
const hashLength = 16

// confirmationSchema is the schema of the argument confirmation.
func confirmationSchema() map[string]any {
	return map[string]any{
		"type": "string", "minLength": base64.RawURLEncoding.EncodedLen(hashLength), "maxLength": 4096, "pattern": "^[A-Za-z0-9_-]+$",
		"description": "That of the answer of this tool to the same arguments. Without it nothing is written.",
	}
}

// newConfirmation returns a text that stands for a call with these arguments, and for the objects as they are: their entity tags, in
// order, "" for one that is unknown. No server stores it, and any server can read it. It grants no rights: only the token does.
func newConfirmation(op *operations.Operation, values map[string]any, tags []string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(hashOf(op, values) + strings.Join(tags, "\n")))
}

// readConfirmation returns the entity tags of a confirmation of a call with these arguments, or what is wrong with it.
func readConfirmation(op *operations.Operation, values map[string]any, given any) (tags []string, problem string) {
	encoded, _ := given.(string)
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	switch {
	case err != nil || len(text) < hashLength:
		return nil, "confirmation must be one that this tool has answered"
	case string(text[:hashLength]) != hashOf(op, values):
		return nil, "The confirmation is for other arguments. Call the tool without it to see what these would change"
	}
	return strings.Split(string(text[hashLength:]), "\n"), ""
}

// hashOf returns the hash of an operation and its arguments. The order of names does not matter.
func hashOf(op *operations.Operation, values map[string]any) string {
	sum := sha256.Sum256(append([]byte(op.ID+"\n"), encode(values)...))
	return string(sum[:hashLength])
}
