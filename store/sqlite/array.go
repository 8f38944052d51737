package sqlite

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
)

// Array is a slice that is sent as one parameter, as JSON for json_each. Bytes are sent in hexadecimal, for unhex.
type Array struct{ Of any }

// Value implements driver.Valuer.
func (a Array) Value() (driver.Value, error) {
	of := a.Of
	if blobs, ok := of.([][]byte); ok {
		texts := make([]string, len(blobs))
		for i, blob := range blobs {
			texts[i] = hex.EncodeToString(blob)
		}
		of = texts
	}
	text, err := json.Marshal(of)
	return string(text), err
}
