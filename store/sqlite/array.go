package sqlite

import (
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
)

// Array sends a slice as one parameter: as JSON, for json_each. Bytes are sent in hexadecimal, for unhex.
type Array struct{ Values any }

// Value implements driver.Valuer.
func (a Array) Value() (driver.Value, error) {
	values := a.Values
	if blobs, ok := values.([][]byte); ok {
		texts := make([]string, len(blobs))
		for i, blob := range blobs {
			texts[i] = hex.EncodeToString(blob)
		}
		values = texts
	}
	text, err := json.Marshal(values)
	return string(text), err
}
