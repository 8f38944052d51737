package rowfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/clientapps/clientapps/server/schemas"
)

// maxRow bounds a row in bytes, like a request body. Otherwise a missing closing quote would read the whole file into memory.
const maxRow = 1 << 20

var byteOrderMark = []byte("\xef\xbb\xbf")

// parsedRow is a row of a file: its valid fields, and the problems of the others.
type parsedRow struct {
	line     int
	fields   map[string]any
	problems []schemas.Problem
}

// ndjsonRows reads a JSON object from each line that is not blank.
func ndjsonRows(r io.Reader, rules *schemas.Rows) iter.Seq2[parsedRow, error] {
	return func(yield func(parsedRow, error) bool) {
		in := bufio.NewReaderSize(r, maxRow)
		skipByteOrderMark(in)
		for line := 1; ; line++ {
			text, err := in.ReadSlice('\n')
			row := parsedRow{line: line}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				row.problems = []schemas.Problem{{Message: tooLongMessage}}
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = in.ReadSlice('\n')
				}
			case len(bytes.TrimSpace(text)) > 0 && (err == nil || errors.Is(err, io.EOF)):
				row.fields, row.problems = rules.ParseJSON(text)
			}
			if (row.fields != nil || row.problems != nil) && !yield(row, nil) {
				return
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(parsedRow{}, err)
				return
			}
		}
	}
}

var tooLongMessage = fmt.Sprintf("the row is longer than %d bytes", maxRow)

func skipByteOrderMark(in *bufio.Reader) {
	if start, _ := in.Peek(len(byteOrderMark)); bytes.Equal(start, byteOrderMark) {
		_, _ = in.Discard(len(byteOrderMark))
	}
}
