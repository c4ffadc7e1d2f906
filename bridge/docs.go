package bridge

import (
	_ "embed"
	"html/template"
	"regexp"
	"strings"
)

//go:embed docs.html
var docsHTML string

// docsData is what the page of the HTTP interface shows.
type docsData struct {
	Hub, Version string
	Routes       []Route
	Retained     []RetainedTopic
	Codes        []CodeInfo
}

var docsPage = template.Must(template.New("docs").Funcs(template.FuncMap{
	"prose":   prose,
	"path":    func(r Route) string { return routePath(&r) },
	"allowed": func(f Field) string { return f.allowed() },
	"example": example,
	"anchor":  func(r Route) string { return operationID("post", r.Topic) },
	"join":    func(s []string) string { return strings.Join(s, ", ") },
}).Parse(docsHTML))

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	docLink  = regexp.MustCompile(`\[([^\]]+)\]\(#[^)]*\)`)
)

// prose is a sentence of the tables, its code spans marked up and its links into
// topics.md dropped.
func prose(s string) template.HTML {
	s = template.HTMLEscapeString(docLink.ReplaceAllString(s, "$1"))
	return template.HTML(codeSpan.ReplaceAllString(s, "<code>$1</code>")) //nolint:gosec // escaped above; the text is ours
}

// example is a body that a command takes.
func example(r Route) string {
	var fields []string
	for _, f := range r.Fields {
		if f.Required {
			fields = append(fields, `"`+f.Name+`": `+exampleValue(f))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func exampleValue(f Field) string {
	switch f.Kind {
	case KindInt:
		return "30"
	case KindSeconds:
		return "90"
	case KindMedia:
		return `"chime"`
	case KindSwitch, KindQuiet:
		return `"on"`
	}
	if f.Name == fieldSession.Name {
		return `"TOKEN"`
	}
	return `"Dinner is ready"`
}
