/** The editor of a product: its texts, images and variants. */

import type { NewProduct, Product } from "../../shared/api";
import { field } from "../../shared/form-field";
import { confirmed } from "../components/confirm";
import { cloneTemplate, fillForm, part } from "../components/element";
import { attributesProblem, attributesText, parseAttributes } from "../product-input";
import { ProductImages } from "../panels/product-images";
import { ProductVariants } from "../panels/product-variants";
import type { ConsoleContext, Screen } from "../screen";

export class ProductScreen implements Screen {
  readonly element = cloneTemplate("product");
  readonly title: string;
  readonly #context: ConsoleContext;
  readonly #form = part(this.element, "form", HTMLFormElement);
  readonly #images: ProductImages;
  readonly #variants: ProductVariants;
  readonly #save = part(this.#form, ".commands .button", HTMLButtonElement);
  readonly #archive = part(this.#form, "[data-archive]", HTMLButtonElement);
  readonly #delete = part(this.#form, "[data-delete]", HTMLButtonElement);
  /** The product as it was loaded or saved last; undefined for a new one. */
  #product: Product | undefined;

  /** A product, or a new one. */
  constructor(context: ConsoleContext, id: string | undefined) {
    this.#context = context;
    this.title = id === undefined ? "New product" : "Product";
    this.#images = new ProductImages(this.#form, async (image) => context.unwrap(await context.client.uploadImage(image)));
    this.#variants = new ProductVariants(this.#form);
    const mayEdit = context.may("operator");
    part(this.#form, ".whole", HTMLFieldSetElement).disabled = !mayEdit;
    for (const control of this.element.querySelectorAll<HTMLElement>("[data-editors]")) control.hidden = !mayEdit;
    const attributes = part(this.#form, "[name=attributes]", HTMLTextAreaElement);
    attributes.addEventListener("input", () => { attributes.setCustomValidity(attributesProblem(attributes.value)); });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#archive.addEventListener("click", () => void this.#toggleArchive());
    this.#delete.addEventListener("click", () => void this.#remove());
    if (id !== undefined) void this.#load(id);
  }

  async #load(id: string): Promise<void> {
    const product = this.#context.unwrap(await this.#context.client.product(id));
    if (product) this.#show(product);
  }

  #show(product: Product): void {
    this.#product = product;
    part(this.element, "h1", HTMLElement).textContent = product.name;
    fillForm(this.#form, { name: product.name, description: product.description });
    part(this.#form, ".fields [name=attributes]", HTMLTextAreaElement).value = attributesText(product.attributes);
    this.#images.show(product.images);
    this.#variants.show(product.variants);
    this.#showArchived(product);
  }

  #showArchived(product: Product): void {
    part(this.element, "[data-archived]", HTMLElement).hidden = !product.archived;
    this.#archive.hidden = false;
    this.#archive.textContent = product.archived ? "Unarchive" : "Archive";
    this.#delete.hidden = false;
  }

  #typed(): NewProduct {
    const text = part(this.#form, ".fields [name=attributes]", HTMLTextAreaElement).value;
    const before = this.#product?.attributes;
    return {
      name: field(this.#form, "name").trim(),
      description: field(this.#form, "description"),
      // An unchanged text keeps names with colons.
      attributes: before && attributesText(before) === text ? before : parseAttributes(text),
      variants: this.#variants.fields(),
      images: this.#images.fields(),
    };
  }

  async #submit(): Promise<void> {
    const [client, before] = [this.#context.client, this.#product];
    this.#save.disabled = true;
    this.#context.notify("");
    const answer = before ? await client.changeProduct(before.id, { version: before.version, ...this.#typed() }) : await client.createProduct(this.#typed());
    this.#save.disabled = false;
    const saved = this.#context.unwrap(answer);
    if (!saved) return;
    if (before) {
      this.#show(saved);
      this.#context.notify("Product saved.");
    } else location.hash = `#/products/${saved.id}`;
  }

  /** Leaves what was typed since the last save. */
  async #toggleArchive(): Promise<void> {
    if (!this.#product) return;
    const { id, archived } = this.#product;
    const product = this.#context.unwrap(await this.#context.client.archiveProduct(id, !archived));
    if (!product) return;
    this.#product = { ...this.#product, archived: product.archived, version: product.version };
    this.#showArchived(product);
    this.#context.notify(product.archived ? "Product archived." : "Product unarchived.");
  }

  async #remove(): Promise<void> {
    if (!this.#product) return;
    const { id, name } = this.#product;
    const sure = await confirmed({ title: `Delete ${name}?`, text: "The product is deleted with its variants. Its images are deleted after a day, unless another product uses them.", confirmLabel: "Delete product" });
    if (sure !== undefined && this.#context.unwrap(await this.#context.client.deleteProduct(id))) location.hash = "#/products";
  }
}
