package schemas

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/validate"
)

// Formats are the contract's own formats. They cannot be patterns: ECMA 262, RE2 and other dialects differ in what they support.
var Formats = validate.Formats{
	"one-line-text": openapi3.NewCallbackValidator(checkLine),
	"name":          openapi3.NewCallbackValidator(checkName),
}

var (
	errNotOneLine = errors.New("no line of text")
	errOuterSpace = errors.New("white space at an end")
)

// checkLine refuses texts without visible characters, with line breaks, or with bidirectional controls.
func checkLine(text string) error {
	visible := false
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, bidiControls) {
			return errNotOneLine
		}
		visible = visible || !unicode.In(r, invisible...)
	}
	if !visible {
		return errNotOneLine
	}
	return nil
}

// checkName is checkLine, and refuses names with white space at the ends, which look like other names.
func checkName(name string) error {
	first, _ := utf8.DecodeRuneInString(name)
	last, _ := utf8.DecodeLastRuneInString(name)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return errOuterSpace
	}
	return checkLine(name)
}

var (
	// bidiControls are the bidirectional embeddings, overrides and isolates (Unicode Standard Annex 9, 2). The marks U+200E and
	// U+200F are allowed, because right-to-left scripts need them.
	bidiControls = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x202a, Hi: 0x202e, Stride: 1}, {Lo: 0x2066, Hi: 0x2069, Stride: 1}}}
	// invisible are characters that show nothing on their own.
	invisible = []*unicode.RangeTable{
		unicode.White_Space, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
	}
)
