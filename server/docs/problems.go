package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/clientapps/clientapps"
)

// ProblemsPath is the path of the list of error codes. The page of each code is beneath it.
const ProblemsPath = "/docs/problems/"

// ProblemTitle returns an error code in words: "Not found".
func ProblemTitle(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// problem describes an error code, as the contract does.
type problem struct {
	Code, Path, Title string
	Status            int
	StatusText        string
	Description       []span
}

// span is a part of a paragraph.
type span struct {
	Text   string
	IsCode bool
}

// publishedProblems reads the published contract once. It never changes while the program runs.
var publishedProblems = sync.OnceValues(func() ([]problem, error) {
	text, err := clientapps.Contract.ReadFile("gen/openapi.json")
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	return readProblems(text)
})

// readProblems returns the error codes of a contract. Each must have a status and a description.
func readProblems(contract []byte) ([]problem, error) {
	var document struct {
		Components struct {
			Schemas struct {
				ErrorCode struct {
					Enum         []string          `json:"enum"`
					Statuses     map[string]int    `json:"x-enumStatuses"`
					Descriptions map[string]string `json:"x-enumDescriptions"`
				}
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(contract, &document); err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	codes := document.Components.Schemas.ErrorCode
	if len(codes.Enum) == 0 {
		return nil, errors.New("the contract has no error codes")
	}
	var all []problem
	for _, code := range codes.Enum {
		p := problem{
			Code: code, Path: ProblemsPath + code, Title: ProblemTitle(code),
			Status: codes.Statuses[code], StatusText: http.StatusText(codes.Statuses[code]),
		}
		description := strings.TrimSpace(codes.Descriptions[code])
		if p.StatusText == "" || description == "" {
			return nil, fmt.Errorf("error code %s needs a status and a description in the contract", code)
		}
		for i, text := range strings.Split(description, "`") {
			p.Description = append(p.Description, span{Text: text, IsCode: i%2 == 1})
		}
		if len(p.Description)%2 == 0 {
			return nil, fmt.Errorf("the description of error code %s has a code mark without an end", code)
		}
		all = append(all, p)
	}
	return all, nil
}

// problemPage is the page of one error code, or the list of all.
var problemPage = template.Must(template.New("problem").Parse(`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{{with .Problem}}{{.Title}}{{else}}Errors{{end}} – clientapps API</title>
  <link rel="icon" href="/docs/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/docs/docs.css">
</head>
<body>
  <header>
    <a class="brand" href="/docs"><img src="/docs/favicon.svg" alt="" width="30" height="30">clientapps <span>API reference</span></a>
  </header>
  <main class="problem">
{{- with .Problem}}
    <h1>{{.Title}}</h1>
    <p><code>{{.Code}}</code>, status {{.Status}} {{.StatusText}}</p>
    <p>{{range .Description}}{{if .IsCode}}<code>{{.Text}}</code>{{else}}{{.Text}}{{end}}{{end}}</p>
    <p><a href="{{$.List}}">All errors</a></p>
{{- else}}
    <h1>Errors</h1>
    <ul>
{{- range .All}}
      <li><a href="{{.Path}}">{{.Title}}</a>: <code>{{.Code}}</code>, status {{.Status}}</li>
{{- end}}
    </ul>
    <p><a href="/docs">API reference</a></p>
{{- end}}
  </main>
</body>
</html>
`))

// problemHandlers serves the page that explains each error code, and their list. The type of problem details leads to them (RFC 9457).
func problemHandlers() (map[string]http.Handler, error) {
	all, err := publishedProblems()
	if err != nil {
		return nil, err
	}
	handlers := map[string]http.Handler{}
	add := func(path string, shown *problem) error {
		var page bytes.Buffer
		data := struct {
			Problem *problem
			All     []problem
			List    string
		}{shown, all, ProblemsPath}
		if err := problemPage.Execute(&page, data); err != nil {
			return fmt.Errorf("docs: %w", err)
		}
		handlers[path] = pageFile(page.Bytes, mediaTypes[".html"], false)
		return nil
	}
	errs := []error{add(strings.TrimSuffix(ProblemsPath, "/"), nil), add(ProblemsPath, nil)}
	for _, p := range all {
		errs = append(errs, add(p.Path, &p))
	}
	return handlers, errors.Join(errs...)
}
