package bridge

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the tables of topics.md from the code")

const topicsFile = "../topics.md"

// TestTopicsTables holds each table of topics.md against the code that it describes.
// With -update it writes them.
func TestTopicsTables(t *testing.T) {
	doc, err := os.ReadFile(topicsFile)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{"commands": commandsTable(), "fields": fieldsTables(), "codes": codesTable(), "retained": retainedTable(), "pace": paceTable(), "hkwhub": hkwhubTable()}
	for name, fields := range payloadTables(t) {
		tables[name] = fields
	}
	block := regexp.MustCompile(`(?s)<!-- table (\w+) -->\n(.*?)<!-- end -->`)
	seen := map[string]bool{}
	got := block.ReplaceAllStringFunc(string(doc), func(b string) string {
		name := block.FindStringSubmatch(b)[1]
		want, ok := tables[name]
		if !ok {
			t.Errorf("topics.md has a table %q that the code does not know", name)
			return b
		}
		seen[name] = true
		return "<!-- table " + name + " -->\n" + want + "<!-- end -->"
	})
	for name := range tables {
		if !seen[name] {
			t.Errorf("topics.md lacks the table %q", name)
		}
	}
	if got == string(doc) {
		return
	}
	if *update {
		if err := os.WriteFile(topicsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the tables of topics.md differ from the code; go test ./bridge -run Topics -update rewrites them")
}

func commandsTable() string {
	var b strings.Builder
	b.WriteString("| topic | command | bare payload | what it does |\n|---|---|---|---|\n")
	for _, r := range Routes {
		bare := "(JSON only)"
		switch {
		case r.Bare != "":
			bare = "`" + r.Bare + "`"
			if r.Empty {
				bare += ", may be empty"
			}
		case r.Empty:
			bare = "anything"
		}
		topic := r.Topic
		if r.Wild != "" {
			topic = strings.Replace(topic, "+", "<"+r.Wild+">", 1)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", topic, r.Command, bare, r.Summary)
	}
	return b.String()
}

// fieldsTables has one row for each field, with the commands that carry it.
func fieldsTables() string {
	type row struct {
		field  Field
		topics []string
	}
	var rows []*row
	for _, r := range Routes {
		for _, f := range r.Fields {
			i := slices.IndexFunc(rows, func(o *row) bool { return reflect.DeepEqual(o.field, f) })
			if i < 0 {
				i = len(rows)
				rows = append(rows, &row{field: f})
			}
			rows[i].topics = append(rows[i].topics, "`"+r.Topic+"`")
		}
	}
	var b strings.Builder
	b.WriteString("| field (also spelled) | value | default | meaning | of |\n|---|---|---|---|---|\n")
	for _, o := range rows {
		f := o.field
		name := "`" + f.Name + "`"
		if len(f.Aliases) > 0 {
			name += " (`" + strings.Join(f.Aliases, "`, `") + "`)"
		}
		byDefault := f.Default
		if f.Required {
			byDefault = "**required**"
		}
		of := strings.Join(o.topics, " ")
		if len(o.topics) == len(Routes) {
			of = "every command"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, f.allowed(), byDefault, f.Doc, of)
	}
	return b.String()
}

func codesTable() string {
	var b strings.Builder
	b.WriteString("| code | HTTP status | meaning |\n|---|---|---|\n")
	for _, c := range Codes {
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", c.Code, c.Status, c.Meaning)
	}
	return b.String()
}

func retainedTable() string {
	var b strings.Builder
	b.WriteString("| topic | payload |\n|---|---|\n")
	for _, r := range Retained {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Topic, r.Doc)
	}
	return b.String()
}

func paceTable() string {
	p := Pace{}.orDefaults()
	row := func(what string, r Rate) string {
		return fmt.Sprintf("| %s | %g a second, %d at once |\n", what, r.PerSecond, r.Burst)
	}
	return "| what | limit |\n|---|---|\n" +
		fmt.Sprintf("| the same sound, without an `id` | once in %g s |\n", p.Bounce.Seconds()) +
		row("commands on one topic; on all together that are unknown or name nothing", p.Topic) +
		row("commands of a hub", p.Hub) +
		row("questions on the bus: `ping`, `media`, `session/get`", p.Hub)
}

// payloadTables makes a table of the fields of each payload type from its source:
// the tags give the names, the comments the meaning.
func payloadTables(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "payload.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			ts := spec.(*ast.TypeSpec)
			st, ok := ts.Type.(*ast.StructType)
			if !ok || ts.Name.Name == "RetainedTopic" {
				continue
			}
			var b strings.Builder
			b.WriteString("| field | type | meaning |\n|---|---|---|\n")
			for _, f := range st.Fields.List {
				if len(f.Names) == 0 {
					continue // embedded: it has a table of its own
				}
				name, rest, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				kind := jsonType(f.Type)
				if strings.Contains(rest, "omitempty") {
					kind += ", may be absent"
				} else if _, pointer := f.Type.(*ast.StarExpr); pointer {
					kind += " or null"
				}
				comment := strings.TrimSpace(f.Comment.Text())
				if comment == "" {
					t.Errorf("payload.go: %s.%s has no comment for topics.md", ts.Name.Name, f.Names[0].Name)
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, kind, sentence(comment))
			}
			tables[ts.Name.Name] = b.String()
		}
	}
	return tables
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:] + "."
}

func jsonType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return jsonType(e.X)
	case *ast.ArrayType:
		return "array of " + jsonType(e.Elt)
	case *ast.SelectorExpr:
		if e.Sel.Name == "Time" {
			return "time"
		}
		return "string"
	case *ast.Ident:
		switch e.Name {
		case "int", "uint64":
			return "integer"
		case "float64":
			return "number"
		case "bool":
			return "boolean"
		case "string":
			return "string"
		case "Playback":
			return "[playback](#a-playback)"
		case "Media":
			return "[media](#a-media)"
		case "SessionState":
			return "object"
		case "SpeechStatus":
			return "[speech](#speech)"
		case "QuietStatus":
			return "[quiet hours](#quiet-hours)"
		case "SpeakerStatus":
			return "[speaker](#a-speaker)"
		}
		return e.Name
	}
	return "?"
}

// TestCodesComplete holds the table of codes against every code that is declared.
func TestCodesComplete(t *testing.T) {
	known := map[string]bool{}
	for _, c := range Codes {
		if known[string(c.Code)] {
			t.Errorf("%s stands twice in Codes", c.Code)
		}
		known[string(c.Code)] = true
	}
	declared := 0
	for _, name := range []string{"code.go", "../session/session.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Type == nil || !strings.HasSuffix(fmt.Sprint(exprName(v.Type)), "Code") {
				return true
			}
			for _, value := range v.Values {
				declared++
				if code := strings.Trim(value.(*ast.BasicLit).Value, `"`); !known[code] {
					t.Errorf("%s declares %s, which Codes lacks", name, code)
				}
			}
			return true
		})
	}
	if declared != len(Codes) {
		t.Errorf("%d codes are declared, Codes has %d", declared, len(Codes))
	}
}

func exprName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
