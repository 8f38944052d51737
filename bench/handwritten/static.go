package main

import (
	"io"
	"net/http"
	"strings"
)

// staticBody is as long as a typical app.
var staticBody = []byte(`{"id":"` + strings.Repeat("0", 700) + `"}` + "\n")

// answerStatic reads the request and answers 200.
func answerStatic(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = jsonType
	answer(w, http.StatusOK, staticBody)
}
