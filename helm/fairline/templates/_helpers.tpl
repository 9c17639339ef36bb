{{/* The name of a service's objects: release-service. */}}
{{- define "fairline.name" -}}
{{ printf "%s-%s" (.release | default .root.Release.Name) .service | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The labels that select the pods of a service. */}}
{{- define "fairline.selector" -}}
app.kubernetes.io/name: fairline
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{- define "fairline.labels" -}}
{{ include "fairline.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "fairline.image" -}}
{{- with .root.Values.image -}}
{{ printf "%s/%s/%s:%s" .registry .repository $.service (.tag | default $.root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* The security context of a container: the least that a service needs. */}}
{{- define "fairline.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "fairline.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* What a service mounts: the controller's signing keys and images, and the certificate authorities. */}}
{{- define "fairline.volumes" -}}
{{- if eq .service "admission-controller" }}
- name: keys
  secret:
    secretName: {{ required "The Secret with the signing keys is missing: set secrets.signingKeys.name." .root.Values.secrets.signingKeys.name }}
    defaultMode: 0440
{{- with .root.Values.media.claim }}
- name: media
  persistentVolumeClaim: { claimName: {{ . }} }
{{- end }}
{{- end }}
{{- with .root.Values.authorities.name }}
- name: authorities
  secret: { secretName: {{ . }}, defaultMode: 0444 }
{{- end }}
{{- end }}

{{- define "fairline.mounts" -}}
{{- if eq .service "admission-controller" }}
- { name: keys, mountPath: /keys, readOnly: true }
{{- if .root.Values.media.claim }}
- { name: media, mountPath: /media }
{{- end }}
{{- end }}
{{- if .root.Values.authorities.name }}
- { name: authorities, mountPath: /authorities, readOnly: true }
{{- end }}
{{- end }}

{{/* The certificate authorities that replace those of the image. */}}
{{- define "fairline.authorities" -}}
{{- if .Values.authorities.name }}
- { name: SSL_CERT_FILE, value: "/authorities/{{ .Values.authorities.key }}" }
{{- end }}
{{- end }}

{{/* The environment of a service, as files/settings.yaml lists it. */}}
{{- define "fairline.settings" -}}
{{- $program := .program | default .service }}
{{- $table := index (.root.Files.Get "files/settings.yaml" | fromYaml) $program }}
{{- range $env, $at := $table.secrets }}
{{ include "fairline.secret" (dict "env" $env "at" $at "secret" (index $.root.Values.secrets $at)) }}
{{- end }}
{{- range $env, $at := $table.optional }}
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
{{- with .root.Values.media.url }}
- { name: FAIRLINE_MEDIA_URL, value: {{ . | quote }} }
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

{{/* A setting from a Secret, which must exist. */}}
{{- define "fairline.secret" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef:
      name: {{ required (printf "The Secret with %s is missing: set secrets.%s.name." .env .at) .secret.name }}
      key: {{ .secret.key }}
{{- end }}

{{/* A value as text: Helm reads numbers as floats, and would write 1000000 as 1e+06. */}}
{{- define "fairline.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
