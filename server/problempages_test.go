package server_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/server/schemas"
)

// Each error code of the contract has a page with its title, its status and its description. The list leads to all of them.
func TestProblemPages(t *testing.T) {
	t.Parallel()
	s := docsServer(t)
	doc, err := schemas.Contract()
	if err != nil {
		t.Fatal(err)
	}
	codes := doc.Components.Schemas["ErrorCode"].Value
	statuses, _ := codes.Extensions["x-enumStatuses"].(map[string]any)
	descriptions, _ := codes.Extensions["x-enumDescriptions"].(map[string]any)
	link, tag := regexp.MustCompile(`(?:href|src)="([^"]*)"`), regexp.MustCompile(`<[^>]*>`)
	list := s.Get(t, "/docs/problems/").Body
	pages := map[string]string{"/docs/problems/": list}
	for _, value := range codes.Enum {
		code := value.(string)
		path := "/docs/problems/" + code
		got := s.Get(t, path)
		pages[path] = got.Body
		title := strings.ReplaceAll(code, "_", " ")
		status := int(statuses[code].(float64))
		text := html.UnescapeString(tag.ReplaceAllString(got.Body, ""))
		description := strings.ReplaceAll(strings.TrimSpace(descriptions[code].(string)), "`", "")
		for _, part := range []string{
			strings.ToUpper(title[:1]) + title[1:], code, fmt.Sprintf("status %d %s", status, http.StatusText(status)), description,
		} {
			if got.Status != http.StatusOK || !strings.Contains(text, part) {
				t.Errorf("%s: %d without %q:\n%s", path, got.Status, part, text)
			}
		}
		if marks := strings.Count(descriptions[code].(string), "`") / 2; strings.Count(got.Body, "<code>") != marks+1 { // and the code itself
			t.Errorf("%s: %d code marks, want %d:\n%s", path, strings.Count(got.Body, "<code>"), marks+1, got.Body)
		}
		if !strings.Contains(list, `href="`+path+`"`) {
			t.Errorf("the list does not lead to %s", path)
		}
	}
	for path, page := range pages {
		for _, found := range link.FindAllStringSubmatch(page, -1) {
			if docsPaths[found[1]] == "" && pages[found[1]] == "" {
				t.Errorf("%s leads to %s", path, found[1])
			}
		}
		if inline := regexp.MustCompile(`<style|style=|\son[a-z]+=|<script`).FindString(page); inline != "" {
			t.Errorf("%s has %s", path, inline)
		}
	}
}
