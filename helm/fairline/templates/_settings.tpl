{{/* The environment of one service: what settings.yaml says that it is told. */}}
{{- define "fairline.settings" -}}
{{- $program := .program | default .service }}
{{- $told := index (.root.Files.Get "settings.yaml" | fromYaml) $program }}
{{- range $env, $at := $told.secrets }}
{{ include "fairline.secret" (dict "env" $env "at" $at "secret" (index $.root.Values.secrets $at)) }}
{{- end }}
{{- range $env, $at := $told.optional }}
{{- $secret := index $.root.Values.secrets $at }}
{{- if $secret.name }}
{{ include "fairline.secret" (dict "env" $env "at" $at "secret" $secret) }}
{{- end }}
{{- end }}
- { name: FAIRLINE_LISTEN, value: {{ .root.Values.listen | quote }} }
- { name: FAIRLINE_TRUSTED_PROXIES, value: {{ .root.Values.trustedProxies | quote }} }
{{ include (printf "fairline.settings.%s" $program) . }}
{{- include "fairline.authorities" .root }}
{{- range $name, $value := .values.env }}
- { name: {{ $name }}, value: {{ include "fairline.text" $value | quote }} }
{{- end }}
{{- end }}

{{- define "fairline.settings.waiting-room" -}}
- { name: FAIRLINE_SOCKETS_MAX, value: {{ include "fairline.text" .values.socketsMax | quote }} }
{{- end }}

{{- define "fairline.settings.admission-controller" -}}
{{- $files := list }}
{{- range .root.Values.secrets.signingKeys.files }}{{ $files = append $files (printf "/keys/%s" .) }}{{ end }}
- { name: FAIRLINE_SIGNING_KEY_FILE, value: {{ join "," $files | quote }} }
{{- with .values.rehearsalUrl }}
- { name: FAIRLINE_REHEARSAL_PROGRAM, value: /fairline }
- { name: FAIRLINE_REHEARSAL_URL, value: {{ . | quote }} }
{{- end }}
{{- end }}

{{- define "fairline.settings.checkout" -}}
- { name: FAIRLINE_GATEWAY_URL, value: {{ .values.gatewayUrl | quote }} }
- name: FAIRLINE_JWKS
  value: {{ printf "http://%s:8080/.well-known/jwks.json" (include "fairline.name" (dict "root" .root "service" "admission-controller")) }}
{{- with .root.Values.host }}
- { name: FAIRLINE_PAGES_URL, value: {{ printf "https://%s" . | quote }} }
{{- end }}
{{- if .root.Values.checkout.worker.enabled }}
- { name: FAIRLINE_ROLE, value: {{ eq .service "checkout-worker" | ternary "worker" "serve" }} }
{{- end }}
{{- end }}

{{/* One setting from a Secret that has to be there. */}}
{{- define "fairline.secret" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef:
      name: {{ required (printf "Name the Secret that has %s: set secrets.%s.name." .env .at) .secret.name }}
      key: {{ .secret.key }}
{{- end }}

{{/* A value as text: helm reads numbers as fractions, and writes 1000000 as 1e+06. */}}
{{- define "fairline.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
