{{/* The settings of each service; what each may know is what stands here. */}}

{{- define "fairline.settings.waiting-room" -}}
{{- $secrets := .root.Values.secrets -}}
{{ include "fairline.secret" (dict "env" "FAIRLINE_REDIS_URL" "secret" $secrets.redis "at" "redis") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_TICKET_KEY" "secret" $secrets.ticketKey "at" "ticketKey") }}
- { name: FAIRLINE_SOCKETS_MAX, value: {{ .values.socketsMax | quote }} }
{{- end }}

{{- define "fairline.settings.admission-controller" -}}
{{- $secrets := .root.Values.secrets -}}
{{ include "fairline.secret" (dict "env" "FAIRLINE_REDIS_URL" "secret" $secrets.redis "at" "redis") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_POSTGRES_URL" "secret" $secrets.postgres "at" "postgres") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_ADMIN_TOKEN" "secret" $secrets.adminToken "at" "adminToken") }}
{{- $files := list }}
{{- range $secrets.signingKeys.files }}{{ $files = append $files (printf "/keys/%s" .) }}{{ end }}
- { name: FAIRLINE_SIGNING_KEY_FILE, value: {{ join "," $files | quote }} }
{{- end }}

{{- define "fairline.settings.checkout" -}}
{{- $secrets := .root.Values.secrets -}}
{{ include "fairline.secret" (dict "env" "FAIRLINE_REDIS_URL" "secret" $secrets.redis "at" "redis") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_POSTGRES_URL" "secret" $secrets.postgres "at" "postgres") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_TICKET_KEY" "secret" $secrets.ticketKey "at" "ticketKey") }}
{{ include "fairline.secret" (dict "env" "FAIRLINE_GATEWAY_KEY" "secret" $secrets.gatewayKey "at" "gatewayKey") }}
- { name: FAIRLINE_GATEWAY_URL, value: {{ .values.gatewayUrl | quote }} }
- name: FAIRLINE_JWKS
  value: {{ printf "http://%s:8080/.well-known/jwks.json" (include "fairline.name" (dict "root" .root "service" "admission-controller")) }}
{{- include "fairline.optional" (dict "env" "FAIRLINE_WEBHOOK_SECRETS" "secret" $secrets.webhookSecrets "at" "webhookSecrets") }}
{{- include "fairline.optional" (dict "env" "FAIRLINE_SHOP_KEY" "secret" $secrets.shopKey "at" "shopKey") }}
{{- include "fairline.optional" (dict "env" "FAIRLINE_SIGN_IN_KEY" "secret" $secrets.signInKey "at" "signInKey") }}
{{- include "fairline.optional" (dict "env" "FAIRLINE_SMTP_URL" "secret" $secrets.smtp "at" "smtp") }}
- { name: FAIRLINE_PAGES_URL, value: {{ printf "https://%s" .root.Values.host | quote }} }
{{- end }}
