/** The images of a product: upload, order and alternative texts. */

import type { ImageFields, ProductImage, UploadedImage } from "../../shared/api";
import { cloneRow, fill, part } from "../components/element";
import { OrderedRows } from "../components/ordered-rows";

const IMAGES_MAX = 12;

export class ProductImages {
  readonly #root: HTMLElement;
  readonly #rows: OrderedRows;
  readonly #upload: (image: File) => Promise<UploadedImage | undefined>;

  /** `upload` returns undefined if an image was rejected, and has shown why. */
  constructor(screen: HTMLElement, upload: (image: File) => Promise<UploadedImage | undefined>) {
    this.#root = part(screen, ".images", HTMLElement);
    this.#upload = upload;
    const files = part(this.#root, "[type=file]", HTMLInputElement);
    this.#rows = new OrderedRows(part(this.#root, "tbody", HTMLTableSectionElement), {
      noun: "image",
      fallback: files,
      changed: (text) => { this.#changed(text); },
    });
    files.addEventListener("change", () => {
      const chosen = [...(files.files ?? [])];
      files.value = "";
      void this.#add(chosen);
    });
  }

  show(images: ProductImage[]): void {
    this.#rows.replace(images.map((image) => this.#row(image)));
    this.#changed("");
  }

  fields(): ImageFields[] {
    return this.#rows.rows.map((row) => ({ media: row.dataset.media ?? "", alt: part(row, "input", HTMLInputElement).value.trim() }));
  }

  async #add(images: File[]): Promise<void> {
    let added = 0;
    for (const [index, image] of images.entries()) {
      if (this.#rows.rows.length >= IMAGES_MAX) {
        this.#changed(`A product has at most ${IMAGES_MAX} images.`);
        return;
      }
      this.#changed(`Uploading image ${index + 1} of ${images.length} …`);
      const uploaded = await this.#upload(image);
      const isKnown = this.#rows.rows.some((row) => row.dataset.media === uploaded?.media);
      if (!uploaded || isKnown) continue;
      this.#rows.add(this.#row({ ...uploaded, alt: "" }));
      added += 1;
    }
    this.#changed(added === images.length ? "Uploaded. Save the product to keep the images." : `${added} of ${images.length} images uploaded.`);
  }

  #row(image: ProductImage): HTMLTableRowElement {
    const row = cloneRow(this.#root, {});
    row.dataset.media = image.media;
    part(row, "img", HTMLImageElement).src = image.sizes[0]?.path ?? "";
    const link = part(row, "a", HTMLAnchorElement);
    link.href = image.sizes.at(-1)?.path ?? "";
    link.dataset.label = "Full size";
    part(row, "input", HTMLInputElement).value = image.alt;
    return row;
  }

  #changed(text: string): void {
    part(this.#root, ".wide-table", HTMLElement).hidden = this.#rows.rows.length === 0;
    fill(this.#root, { upload: text });
  }
}
