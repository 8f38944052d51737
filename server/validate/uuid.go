package validate

import "github.com/google/uuid"

// ParseUUID parses the form of a UUID in RFC 9562, 4: 8-4-4-4-12 hexadecimal digits in either letter case, of any version and
// variant. uuid.Parse also accepts other forms, and takes three times as long.
func ParseUUID[T ~string | ~[]byte](text T) (id uuid.UUID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return uuid.Nil, false
	}
	seen := byte(0)
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := hexDigits[text[at]], hexDigits[text[at+1]]
		seen |= high | low
		id[i] = high<<4 | low
	}
	return id, seen < 16
}

// hexDigits has the value of each hexadecimal digit, and 255 for every other byte.
var hexDigits = func() (values [256]byte) {
	for c := range values {
		values[c] = 255
	}
	for i := range byte(10) {
		values['0'+i] = i
	}
	for i := range byte(6) {
		values['a'+i], values['A'+i] = 10+i, 10+i
	}
	return values
}()
