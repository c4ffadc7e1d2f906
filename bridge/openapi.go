package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"hkw/session"
)

// object is a JSON object of a description that is made here.
type object map[string]any

// OpenAPI describes the HTTP interface, in OpenAPI 3.1, from Routes, Codes and the
// payload types: what is served is what is described.
func OpenAPI(version string) []byte {
	paths := object{
		"/healthz": object{"get": object{
			"summary": "Whether every hub answers and has its broker.", "operationId": "health", "security": []object{},
			"responses": object{"200": jsonResponse("They do.", "Health"), "503": jsonResponse("One does not.", "Health")},
		}},
		"/hkw/{hub}/events": object{"get": object{
			"summary":     "Status and events as they come, server-sent.",
			"description": "Each event is named by its topic below `hkw/<hub>/`; its data is the payload. It begins with everything that is retained, whether the hub has its broker among it; with `Last-Event-ID`, with what was missed, if that is still known.",
			"operationId": "events", "parameters": []object{hubParameter(), {"name": "Last-Event-ID", "in": "header", "schema": object{"type": "string"}},
				{"name": "recent", "in": "query", "schema": object{"type": "integer", "minimum": 0}, "description": "How many of the latest events and results come before everything else, as far as they are known. Without it none."}},
			"responses": object{"200": object{"description": "The stream.", "content": object{"text/event-stream": object{"schema": object{"type": "string"}}}}},
		}},
	}
	for _, r := range Retained {
		paths["/hkw/{hub}/"+braces(r.Topic)] = object{"get": retainedOperation(r)}
	}
	for i := range Routes {
		paths["/hkw/{hub}/"+routePath(&Routes[i])] = object{"post": commandOperation(&Routes[i])}
	}
	schemas := object{}
	for _, t := range []any{Health{}, Status{}, Result{}, Event{}, SessionStatus{}, SpeakerStatus{}, Playback{}, refusalReply{}} {
		schemaOf(reflect.TypeOf(t), schemas)
	}
	doc, _ := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "hkw", "version": version,
			"description": "A hub that puts sound on the message bus of a house. The path is the topic: each command that the bus knows can be posted here and has the same result."},
		"paths": paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "Needed where the owner has set tokens."}},
		},
		"security": []object{{}, {"token": []string{}}},
	}, "", "  ") // maps of strings, numbers and maps: nothing that cannot be marshalled
	return append(doc, '\n')
}

// routePath is the topic of a route with its "+" named.
func routePath(r *Route) string { return strings.Replace(r.Topic, "+", "{"+r.Wild+"}", 1) }

// braces writes the variable part of a topic as a path does.
func braces(topic string) string { return strings.NewReplacer("<", "{", ">", "}").Replace(topic) }

func hubParameter() object {
	return object{"name": "hub", "in": "path", "required": true, "schema": object{"type": "string", "pattern": idPattern.String()}, "description": "Id of the hub."}
}

// pathParameters are the hub and whatever else a path leaves open.
func pathParameters(path string) []object {
	params := []object{hubParameter()}
	if _, rest, open := strings.Cut(path, "{"); open {
		name, _, _ := strings.Cut(rest, "}")
		params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	return params
}

func jsonResponse(description, schema string) object {
	return object{"description": description, "content": object{"application/json": object{"schema": ref(schema)}}}
}

func ref(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

func retainedOperation(r RetainedTopic) object {
	media, schema := "text/plain", object{"type": "string"}
	if r.JSON != "" {
		media, schema = "application/json", ref(r.JSON)
	}
	return object{
		"summary": "What is retained on " + r.Topic + ".", "operationId": operationID("get", r.Topic), "description": r.Doc,
		"parameters": pathParameters(braces(r.Topic)),
		"responses": object{
			"200": object{"description": "The payload.", "headers": object{"ETag": object{"schema": object{"type": "string"}}}, "content": object{media: object{"schema": schema}}},
			"304": object{"description": "It is still what If-None-Match names."},
			"404": jsonResponse("Nothing is retained there.", "Refusal"),
		},
	}
}

// commandOperation describes one command.
func commandOperation(r *Route) object {
	properties, needed := object{}, []string{}
	for _, f := range r.Fields {
		p := fieldSchema(f)
		p["description"] = f.Doc
		if len(f.Aliases) > 0 {
			p["description"] = f.Doc + " Also spelled " + strings.Join(f.Aliases, ", ") + "."
		}
		if f.Default != "" && !f.Required {
			p["description"] = p["description"].(string) + " Default: " + f.Default + "."
		}
		properties[f.Name] = p
		if f.Required {
			needed = append(needed, f.Name)
		}
	}
	body := object{"type": "object", "properties": properties}
	if len(needed) > 0 {
		body["required"] = needed
	}
	content := object{"application/json": object{"schema": body}}
	if r.Bare != "" {
		content["text/plain"] = object{"schema": object{"type": "string", "description": "The field " + r.Bare + " alone."}}
	}
	responses := object{
		"200": jsonResponse("It was carried out.", "Result"),
		"202": jsonResponse("It waits (outcome `queued`).", "Result"),
	}
	for _, status := range codeStatuses() {
		responses[strconv.Itoa(status)] = jsonResponse(strings.Join(codesOf(status), ", ")+".", "Result")
	}
	responses["413"] = jsonResponse("The body is too large.", "Refusal")
	return object{
		"summary": r.Summary, "operationId": operationID("post", r.Topic), "tags": []string{r.Command},
		"parameters":  pathParameters(routePath(r)),
		"requestBody": object{"required": !r.Empty, "content": content},
		"responses":   responses,
	}
}

func codeStatuses() []int {
	var all []int
	for _, c := range Codes {
		all = append(all, c.Status)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func codesOf(status int) []string {
	var codes []string
	for _, c := range Codes {
		if c.Status == status {
			codes = append(codes, "`"+string(c.Code)+"`")
		}
	}
	return codes
}

func operationID(method, topic string) string {
	words := strings.FieldsFunc(topic, func(r rune) bool { return strings.ContainsRune("/<>", r) })
	return method + "_" + strings.ReplaceAll(strings.Join(words, "_"), "+", "named")
}

// fieldSchema is the JSON schema of a field of a command.
func fieldSchema(f Field) object {
	switch f.Kind {
	case KindFraction:
		return object{"type": "number", "minimum": f.Min, "maximum": f.Max}
	case KindPower:
		return object{"type": "string", "enum": []string{powerOn, powerOff}}
	case KindInt:
		return object{"type": "integer", "minimum": f.Min, "maximum": f.Max}
	case KindSeconds:
		return object{"type": "number", "minimum": f.Min, "maximum": f.Max}
	case KindBool:
		return object{"type": "boolean"}
	case KindTime:
		return object{"type": "string", "format": "date-time"}
	case KindMedia:
		return object{"type": []string{"string", "integer"}}
	case KindSpeakers:
		return object{"oneOf": []object{{"type": "array", "items": object{"type": "string"}, "maxItems": maxSpeakers}, {"type": "string"}}}
	case KindSwitch:
		return object{"oneOf": []object{{"type": "string", "enum": []session.Switch{session.SwitchOn, session.SwitchOff, session.SwitchToggle}}, {"type": "boolean"}}}
	case KindQuiet:
		return object{"type": "string", "enum": []session.QuietMode{session.QuietOn, session.QuietOff, session.QuietAuto}}
	case KindMode:
		return object{"type": "string", "enum": []session.OnBusy{session.Interrupt, session.Announce, session.Queue, session.Drop}}
	}
	s := object{"type": "string", "minLength": f.Min, "maxLength": f.Max}
	if f.isID() {
		s["pattern"] = idPattern.String()
	}
	return s
}

// schemaOf is the JSON schema of a payload type; structs go to schemas by name.
func schemaOf(t reflect.Type, schemas object) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), schemas)
	}
	switch t.Kind() {
	case reflect.Struct:
		name := schemaName(t)
		if _, known := schemas[name]; !known {
			s := object{"type": "object"}
			schemas[name] = s
			properties, needed := object{}, []string{}
			addFields(t, schemas, properties, &needed)
			s["properties"] = properties
			if len(needed) > 0 {
				s["required"] = needed
			}
		}
		return ref(name)
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Int, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Bool:
		return object{"type": "boolean"}
	}
	return object{"type": "string"}
}

func schemaName(t reflect.Type) string {
	if t == reflect.TypeFor[refusalReply]() {
		return "Refusal"
	}
	return t.Name()
}

// addFields adds the fields of a struct, those of embedded ones in their place.
func addFields(t reflect.Type, schemas, properties object, needed *[]string) {
	for f := range t.Fields() {
		if f.Anonymous {
			addFields(f.Type, schemas, properties, needed)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := schemaOf(f.Type, schemas)
		if strings.Contains(options, "omitempty") {
			properties[name] = s
			continue
		}
		if f.Type.Kind() == reflect.Pointer {
			s = object{"oneOf": []object{s, {"type": "null"}}}
		}
		properties[name] = s
		*needed = append(*needed, name)
	}
}

// describe serves the description and a page of it for people.
func (s *server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(OpenAPI(s.cfg.Version))
}

// docs serves the commands, fields and errors as a page, without any script.
func (s *server) docs(w http.ResponseWriter, _ *http.Request) {
	hub := "home"
	if len(s.cfg.Hubs) > 0 {
		hub = s.cfg.Hubs[0].ID()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if err := docsPage.Execute(w, docsData{Hub: hub, Version: s.cfg.Version, Routes: Routes, Retained: Retained, Codes: Codes}); err != nil {
		_, _ = fmt.Fprintf(w, "<p>the page broke off</p>") // the reader is gone, or the page has a fault that its test finds
	}
}
