{{/*
Overlays. What Hera rendered is changed in place, template by template, by the labels leicos.dev/pool and
leicos.dev/image; where values say nothing it stays as it is. Call with (dict "root" $ "template" $template).
*/}}
{{- define "leicos.overlayTemplate" -}}
{{- $root := .root -}}
{{- $template := .template -}}
{{- $labels := $template.metadata.labels -}}
{{- $name := index $labels "leicos.dev/pool" -}}
{{- $pool := index $root.Values.pools $name -}}
{{- $call := dict "root" $root "template" $template "name" $name "pool" $pool -}}
{{- include "leicos.overlayContainer" (merge (dict "kind" (index $labels "leicos.dev/image")) $call) -}}
{{- include "leicos.overlayVolumes" $call -}}
{{- include "leicos.overlayPlacement" $call -}}
{{- include "leicos.overlayMetadata" $call -}}
{{- if hasKey (include "leicos.concurrency" $root | fromYaml) $name -}}
{{- $key := dict "name" $root.Values.semaphores.name "key" $name -}}
{{- $_ := set $template "synchronization" (dict "semaphores" (list (dict "configMapKeyRef" $key))) -}}
{{- end -}}
{{- if not (kindIs "invalid" $pool.retries) -}}
{{- $_ := set $template.retryStrategy "limit" (toString $pool.retries) -}}
{{- end -}}
{{- with $pool.user -}}
{{- $_ := set $template "securityContext" (merge (dict "runAsUser" . "runAsGroup" . "fsGroup" .) $template.securityContext) -}}
{{- end -}}
{{- end }}

{{/* Image, resources and environment. */}}
{{- define "leicos.overlayContainer" -}}
{{- $values := .root.Values -}}
{{- $container := .template.container -}}
{{- $_ := set $container "image" (include "leicos.image" .) -}}
{{- $_ := set $container "imagePullPolicy" $values.images.pullPolicy -}}
{{- $_ := set $container "resources" .pool.resources -}}
{{- $env := $container.env -}}
{{- with (index $values.images .kind).digest -}}
{{- $env = append $env (dict "name" "LEICOS_IMAGE_DIGEST" "value" .) -}}
{{- end -}}
{{- if and $values.modelCache.enabled (has .name $values.modelCache.pools) -}}
{{- $env = concat $env (list (dict "name" "HF_HOME" "value" $values.modelCache.mountPath) (dict "name" "HF_HUB_OFFLINE" "value" "1")) -}}
{{- end -}}
{{- if and $values.backends.isaac.enabled (eq .kind "isaac") -}}
{{- $env = concat $env (list (dict "name" "ACCEPT_EULA" "value" "Y") (dict "name" "NVIDIA_DRIVER_CAPABILITIES" "value" "all")) -}}
{{- end -}}
{{- if and (eq .template.name "report") $values.artifactRepository.create $values.store.bucket -}}
{{- $env = append $env (dict "name" "LEICOS_ARTIFACT_BUCKET" "value" $values.store.bucket) -}}
{{- end -}}
{{- if eq .template.name "finish" -}}
{{- with $values.workflow.argoUrl -}}
{{- $env = append $env (dict "name" "LEICOS_ARGO_URL" "value" .) -}}
{{- end -}}
{{- with $values.webhook.existingSecret -}}
{{- $from := dict "secretKeyRef" (dict "name" . "key" $values.webhook.key) -}}
{{- $env = append $env (dict "name" "LEICOS_WEBHOOK_URL" "valueFrom" $from) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $container "env" (concat $env (.pool.env | default list)) -}}
{{- $from := list -}}
{{- range $container.envFrom -}}
{{- if not .secretRef -}}
{{- $from = append $from . -}}
{{- else if eq $values.store.credentials "secret" -}}
{{- $from = append $from (dict "secretRef" (dict "name" $values.store.existingSecret "optional" true)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $container "envFrom" $from -}}
{{- end }}

{{/* Scratch space, model cache, certificates, shared memory and the pool's own volumes. */}}
{{- define "leicos.overlayVolumes" -}}
{{- $values := .root.Values -}}
{{- $pool := .pool -}}
{{- $volumes := list -}}
{{- range .template.volumes -}}
{{- if ne .name "tmp" -}}
{{- $volumes = append $volumes . -}}
{{- else if $pool.scratch.storageClassName -}}
{{- $storage := dict "requests" (dict "storage" $pool.scratch.size) -}}
{{- $spec := dict "accessModes" (list "ReadWriteOnce") "storageClassName" $pool.scratch.storageClassName "resources" $storage -}}
{{- $volumes = append $volumes (dict "name" "tmp" "ephemeral" (dict "volumeClaimTemplate" (dict "spec" $spec))) -}}
{{- else -}}
{{- $volumes = append $volumes (dict "name" "tmp" "emptyDir" (dict "sizeLimit" $pool.scratch.size)) -}}
{{- end -}}
{{- end -}}
{{- $mounts := .template.container.volumeMounts -}}
{{- if and $values.modelCache.enabled (has .name $values.modelCache.pools) -}}
{{- $volumes = append $volumes (include "leicos.cacheVolume" .root | fromYaml) -}}
{{- $mounts = append $mounts (dict "name" "models" "mountPath" $values.modelCache.mountPath "readOnly" true) -}}
{{- end -}}
{{- with $values.store.caBundle.existingSecret -}}
{{- $volumes = append $volumes (dict "name" "ca" "secret" (dict "secretName" .)) -}}
{{- $mounts = append $mounts (dict "name" "ca" "mountPath" "/etc/leicos/ca" "readOnly" true) -}}
{{- end -}}
{{- with $pool.sharedMemory -}}
{{- $volumes = append $volumes (dict "name" "shm" "emptyDir" (dict "medium" "Memory" "sizeLimit" .)) -}}
{{- $mounts = append $mounts (dict "name" "shm" "mountPath" "/dev/shm") -}}
{{- end -}}
{{- $_ := set .template "volumes" (concat $volumes ($pool.volumes | default list)) -}}
{{- $_ := set .template.container "volumeMounts" (concat $mounts ($pool.volumeMounts | default list)) -}}
{{- end }}

{{/* Labels and annotations of the pod. */}}
{{- define "leicos.overlayMetadata" -}}
{{- $labels := merge (dict) .template.metadata.labels (.pool.labels | default dict) .root.Values.commonLabels -}}
{{- with .pool.queue -}}
{{- $_ := set $labels "kueue.x-k8s.io/queue-name" . -}}
{{- end -}}
{{- with .pool.queuePriorityClass -}}
{{- $_ := set $labels "kueue.x-k8s.io/priority-class" . -}}
{{- end -}}
{{- $_ := set .template.metadata "labels" $labels -}}
{{- with .pool.annotations -}}
{{- $_ := set $.template.metadata "annotations" . -}}
{{- end -}}
{{- end }}
