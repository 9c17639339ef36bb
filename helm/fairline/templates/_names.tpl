{{/* The name of everything of one service: release-service. */}}
{{- define "fairline.name" -}}
{{ printf "%s-%s" (.release | default .root.Release.Name) .service | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What selects the pods of one service. */}}
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

{{/* What a pod may do: as little as it needs. */}}
{{- define "fairline.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "fairline.confinedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* The files of one service, each from a Secret: the controllers' keys, and whom everybody believes. */}}
{{- define "fairline.volumes" -}}
{{- if eq .service "admission-controller" }}
- name: keys
  secret:
    secretName: {{ required "Name the Secret that has the signing keys: set secrets.signingKeys.name." .root.Values.secrets.signingKeys.name }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.authorities.name }}
- name: authorities
  secret: { secretName: {{ . }}, defaultMode: 0444 }
{{- end }}
{{- end }}

{{- define "fairline.mounts" -}}
{{- if eq .service "admission-controller" }}
- { name: keys, mountPath: /keys, readOnly: true }
{{- end }}
{{- if .root.Values.authorities.name }}
- { name: authorities, mountPath: /authorities, readOnly: true }
{{- end }}
{{- end }}

{{/* Whom TLS believes instead of the authorities in the image. */}}
{{- define "fairline.authorities" -}}
{{- if .Values.authorities.name }}
- { name: SSL_CERT_FILE, value: "/authorities/{{ .Values.authorities.key }}" }
{{- end }}
{{- end }}
